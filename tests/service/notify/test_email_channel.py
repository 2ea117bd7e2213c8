"""Email channel: mail arrives once, whole, and with nothing in its headers that we did not put there."""

from datetime import UTC, datetime
from typing import Any

import pytest
from aiosmtplib import SMTP

from services.notify.channels.channel import Delivery, confirmed
from services.notify.channels.email import EmailSender, InvalidMail, parse_sender
from tests.service.notify.doors import Mailbox, free_port, mail_server

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
        lambda: SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=5, local_hostname="waymark.test"),
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
    ("answer", "outcome"), [("450 busy", "retry"), ("550 no such user", "refused"), ("552 full", "refused")]
)
async def test_a_recipient_that_is_turned_away_is_known_not_to_have_it(answer: str, outcome: str):
    box = Mailbox()
    box.to_rcpt = answer
    async with mail_server(box) as port:
        receipt = await channel(port).send(delivery(), _never)
    assert (receipt.outcome, receipt.detail) == (outcome, answer)


@pytest.mark.parametrize(("answer", "outcome"), [("451 later", "retry"), ("554 looks like spam", "refused")])
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
