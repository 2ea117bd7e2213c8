"""Email channel: mail arrives once, whole, and with nothing in its headers that we did not put there."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from aiosmtplib import SMTP
from pydantic import SecretStr

from deploy.servers.ports import free_port
from services.notify.channels.channel import Delivery, Receipt, confirmed
from services.notify.channels.email import EMAIL, EmailSender, InvalidMail, parse_sender
from shared.settings import Settings
from tests.service.notify.doors import Mailbox, mail_server

LINK = "https://success.example.com/u/v1.0123abcd." + "x" * 300


def delivery(**more: Any) -> Delivery:
    wanted = {
        "id": "7c0e5c54-0000-5000-8000-000000000001",
        "account": "acme",
        "play": "welcome",
        "step": "hello",
        "outreach_class": "onboarding",
        "subject": "Willkommen, Zoë: 100 %",
        "text": "Hello Zoë,\n\n.a line that starts with a dot\nFrom here on\n",
        "html": "<p>Hello Zoë</p>",
        "email": "zoe@acme.test",
        "name": "Zoë O'Neill, Ops",
        "unsubscribe": LINK,
    }
    return Delivery(**(wanted | more))


def channel(port: int) -> EmailSender:
    return EmailSender(
        lambda: SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=60, local_hostname="waymark.test"),
        "Kim at Example <success@example.com>",
        lambda: datetime(2025, 3, 3, 12, tzinfo=UTC),
    )


async def test_a_mail_arrives_whole_with_its_way_out():
    box = Mailbox()
    async with mail_server(box) as port:
        receipt = await channel(port).send(delivery(), confirmed)
    (mail,) = box.mails
    assert receipt.outcome == "accepted"
    assert receipt.reference == "<7c0e5c54-0000-5000-8000-000000000001@example.com>" == mail["Message-ID"]
    assert mail["List-Unsubscribe"] == f"<{LINK}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Subject"] == "Willkommen, Zoë: 100 %"
    assert mail["To"].addresses[0].display_name == "Zoë O'Neill, Ops"
    assert mail["From"].addresses[0].addr_spec == "success@example.com"
    assert mail["Date"].datetime == datetime(2025, 3, 3, 12, tzinfo=UTC)
    assert mail.get_body(("plain",)).get_content().replace("\r\n", "\n") == delivery().text
    assert mail.get_body(("html",)).get_content().strip() == "<p>Hello Zoë</p>"
    assert box.envelopes == [("success@example.com", ["zoe@acme.test"])]


async def test_an_answer_goes_where_the_delivery_says():
    box = Mailbox()
    async with mail_server(box) as port:
        await channel(port).send(delivery(), confirmed)
        await channel(port).send(delivery(reply_to="kim@example.com"), confirmed)
        refused = await channel(port).send(delivery(reply_to="kim@example.com\r\nBcc: all@x.test"), _never)
    assert [mail["Reply-To"] for mail in box.mails] == [None, "kim@example.com"]
    assert refused.outcome == "refused"


async def test_the_text_is_wrapped_and_its_addresses_stay_whole():
    box = Mailbox()
    text = f"- {'word ' * 40}\n\nOpen it:\n{LINK}\n"
    async with mail_server(box) as port:
        await channel(port).send(delivery(text=text, html=f"<p>שלום {'x' * 900}</p>"), confirmed)
    arrived = box.mails[0].get_body(("plain",)).get_content().replace("\r\n", "\n")
    assert arrived.split() == text.split()
    assert max(len(line) for line in arrived.split("\n") if line != LINK) <= 76
    assert LINK in arrived.split("\n")
    _, _, body = box.raw[0].partition(b"\r\n\r\n")
    assert max(map(len, body.split(b"\r\n"))) <= 76
    assert box.mails[0].get_body(("html",)).get_content().strip() == f"<p>שלום {'x' * 900}</p>"


async def test_the_unsubscribe_link_is_on_one_line_as_mailbox_providers_read_it():
    box = Mailbox()
    async with mail_server(box) as port:
        await channel(port).send(delivery(), confirmed)
    assert f"List-Unsubscribe: <{LINK}>\r\n".encode() in box.raw[0]
    assert box.raw[0].isascii()


async def test_transactional_mail_has_no_unsubscribe_link():
    box = Mailbox()
    async with mail_server(box) as port:
        await channel(port).send(delivery(unsubscribe=None), confirmed)
    assert box.mails[0]["List-Unsubscribe"] is None


async def test_the_hook_is_called_after_the_recipient_was_taken_and_before_the_data():
    box = Mailbox()

    async def before():
        box.steps.append("before")

    async with mail_server(box) as port:
        await channel(port).send(delivery(), before)
    assert box.steps == ["before", "data"]


async def test_when_the_hook_fails_nothing_is_sent():
    box = Mailbox()

    async def before():
        raise RuntimeError("the database is gone")

    async with mail_server(box) as port:
        with pytest.raises(RuntimeError):
            await channel(port).send(delivery(), before)
    assert box.mails == []


async def _never():
    raise AssertionError("nothing could have been accepted")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("450 busy", "retry"),
        ("550 no such user", "bounced"),
        ("550 5.1.1 user unknown", "bounced"),
        ("550 5.7.1 blocked by policy", "refused"),
        ("552 full", "refused"),
    ],
)
async def test_a_recipient_that_is_turned_away_is_known_not_to_have_it(answer: str, outcome: str):
    box = Mailbox()
    box.to_rcpt = answer
    async with mail_server(box) as port:
        receipt = await channel(port).send(delivery(), _never)
    assert (receipt.outcome, receipt.detail) == (outcome, answer)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [("451 later", "retry"), ("550 looks like spam", "refused"), ("550 5.1.1 unknown", "bounced")],
)
async def test_content_that_is_turned_away_is_known_not_to_have_arrived(answer: str, outcome: str):
    box = Mailbox()
    box.to_data = answer
    async with mail_server(box) as port:
        assert (await channel(port).send(delivery(), confirmed)).outcome == outcome


async def test_a_conversation_that_breaks_off_after_the_data_is_in_doubt():
    box = Mailbox()
    box.hang_up = True
    async with mail_server(box) as port:
        assert (await channel(port).send(delivery(), confirmed)).outcome == "uncertain"


async def test_a_server_that_is_not_there_is_tried_later():
    assert (await channel(free_port()).send(delivery(), _never)).outcome == "retry"


@pytest.mark.parametrize(
    "bad",
    [
        {"subject": "Hello\r\nBcc: all@x.test"},
        {"subject": "Hello\nX: y"},
        {"subject": "Hello\x00"},
        {"name": "Ann\r\nBcc: all@x.test"},
        {"email": "ann@acme.test\r\nRCPT TO:<bob@x.test>"},
        {"email": "ann@acme.test>, <bob@x.test"},
        {"email": "änn@acme.test"},
        {"email": ""},
        {"email": None},
        {"id": "1\r\nX: y"},
        {"unsubscribe": "https://x.test/\r\nX: y"},
        {"unsubscribe": "https://x.test/>, <mailto:a@b.test"},
        {"unsubscribe": "javascript:alert(1)"},
    ],
)
async def test_what_would_break_out_of_a_header_is_refused(bad: dict[str, str | None]):
    box = Mailbox()
    async with mail_server(box) as port:
        assert (await channel(port).send(delivery(**bad), _never)).outcome == "refused"
    assert box.mails == []


def test_a_sender_that_is_none_is_refused_at_start():
    with pytest.raises(InvalidMail):
        parse_sender("nobody")


class Eavesdropper:
    """A mail server's side of a conversation, line by line. `offers` are the extensions it says it has."""

    def __init__(self, *offers: str) -> None:
        self.offers = offers
        self.heard: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx.test\r\n")
        while line := (await reader.readline()).decode("latin1").strip():
            self.heard.append(line)
            if line.startswith("EHLO"):
                names = ["mx.test", *self.offers]
                lines = [f"250-{name}" for name in names[:-1]] + [f"250 {names[-1]}"]
                writer.write("".join(f"{each}\r\n" for each in lines).encode())
            elif line == "STARTTLS":
                writer.write(b"220 go on\r\n")
            else:
                writer.write(b"235 welcome\r\n" if line.startswith("AUTH") else b"250 OK\r\n")
        writer.close()


async def spoken_to(server: Eavesdropper, who: str) -> Receipt:
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    async with listening:
        url = f"smtp://{who}127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        settings = Settings(smtp_url=SecretStr(url), mail_from="success@example.com")
        return await EMAIL.build(settings, lambda: datetime(2025, 3, 3, tzinfo=UTC)).send(delivery(), _never)


async def test_a_password_is_never_sent_to_a_server_without_starttls():
    server = Eavesdropper("AUTH PLAIN LOGIN")
    receipt = await spoken_to(server, "kim:secret@")
    assert (receipt.outcome, "STARTTLS" in receipt.detail) == ("retry", True)
    assert [line.split()[0] for line in server.heard] == ["EHLO"]


async def test_a_password_is_not_sent_where_the_encryption_fails():
    server = Eavesdropper("STARTTLS", "AUTH PLAIN LOGIN")
    assert (await spoken_to(server, "kim:secret@")).outcome == "retry"
    assert server.heard[1] == "STARTTLS"
    assert not any("AUTH" in line for line in server.heard)


async def test_without_a_password_a_plain_server_is_spoken_to_as_ever():
    box = Mailbox()
    async with mail_server(box) as port:
        settings = Settings(smtp_url=SecretStr(f"smtp://127.0.0.1:{port}"), mail_from="success@example.com")
        sender = EMAIL.build(settings, lambda: datetime(2025, 3, 3, tzinfo=UTC))
        assert (await sender.send(delivery(), confirmed)).outcome == "accepted"


@pytest.mark.parametrize("field", ["subject", "name"])
async def test_an_encoded_word_in_a_header_is_refused_for_it_would_be_decoded(field: str):
    box = Mailbox()
    async with mail_server(box) as port:
        receipt = await channel(port).send(delivery(**{field: "=?utf-8?q?free-money=2Eexample?="}), _never)
    assert receipt.outcome == "refused"
