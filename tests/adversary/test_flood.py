"""From outside: nobody floods people through it, speaks to them in our name, or has it write to dead and unwilling addresses."""

import asyncio
import os
import sys
from pathlib import Path

from tests.adversary.product import Event, Product, group, identify, running, track
from tests.conftest import ROOT, Deployment
from tests.make import eventually
from tests.service.notify.test_email_channel import Eavesdropper

STRANGER = "stranger@victim.test"


def signed_up(account: str, user: str, address: str, name: str = "Ann Lee") -> list[Event]:
    """An account with an administrator who signed up: a welcome mail is due."""
    return [identify(account, user, email=address, name=name, role="admin"), track(account, user, "Signed Up")]


async def _sent_or_settled(product: Product, account: str) -> None:
    """Wait until something became of the account's welcome mail."""

    async def settled() -> bool:
        rows = await product.outbox(account=account, play="welcome", channel="email")
        return any(row["status"] not in {"pending", "sending"} or row["reason"] for row in rows)

    await eventually(settled, 120)


async def _received(product: Product, mails: int) -> None:
    async def arrived() -> bool:
        return len(product.mailbox.mails) >= mails

    await eventually(arrived, 120)


async def _statuses(product: Product, account: str) -> set[tuple[str, str]]:
    rows = await product.outbox(account=account, play="welcome", channel="email")
    return {(row["status"], row["reason"]) for row in rows}


async def _waymark(product: Product, *arguments: str) -> str:
    environment = {**os.environ, "WAYMARK_ADMIN_KEY": product.keys["admin"]}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "waymark", *arguments, "--url", product.url),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode()


async def test_one_post_reaches_a_stranger_once_and_carries_nothing_of_the_attackers(deployment: Deployment) -> None:
    async with running(deployment.settings, live=True) as product:
        trick = "free-money.example visit http://free-money.example/now \u202e"
        public = [event for number in range(60) for event in signed_up(f"b{number}", f"b{number}", "b@victim.test")]
        await product.accepted(public, "browser")
        flood: list[Event] = []
        for number in range(60):
            account = f"a{number}"
            flood.append(group(account, f"u{number}", name=f"Claim your prize: {trick}"))
            flood += signed_up(account, f"u{number}", STRANGER, trick)
        flood += [event for number in range(60) for event in signed_up("one", f"w{number}", STRANGER, trick)]
        await product.accepted(flood)
        await product.settle()

        async def decided() -> bool:
            return not [row for row in await product.outbox(status="pending") if not row["reason"]]

        await eventually(decided, 120)
        await _received(product, 1)
        (mail,) = product.mails_to(STRANGER)
        text = "\n".join(part.get_content() for part in mail.walk() if part.get_content_maintype() == "text")
        for seen in (mail["Subject"], mail["To"], text):
            assert "free-money" not in seen
            assert "\u202e" not in seen
        assert "Hello there," in text
        assert product.mails_to("b@victim.test") == []


async def test_dead_unwilling_and_listed_addresses_are_written_to_from_no_account(
    deployment: Deployment, tmp_path: Path
) -> None:
    async with running(deployment.settings, live=True) as product:
        product.mailbox.to_rcpt = "550 5.1.1 user unknown"
        await product.accepted(signed_up("dead-1", "d1", "dead@victim.test"))
        await _sent_or_settled(product, "dead-1")
        assert await _statuses(product, "dead-1") == {("failed", "bounced")}
        product.mailbox.to_rcpt = ""

        complaint = {"type": "complaint", "address": "Angry@victim.test", "reason": "abuse"}
        assert (await product.call("POST", "/notify/v1/feedback", "browser", json=complaint)).status_code in {401, 403}
        assert (await product.call("POST", "/notify/v1/feedback", "server", json=complaint)).json()["suppressed"] == 1
        old = tmp_path / "old.csv"
        old.write_text("email,reason\nlisted@victim.test,unsubscribed\nnobody,\n", "utf8")
        assert (await _waymark(product, "suppressions", "import", str(old))).startswith(
            "1 added, 0 were known, 1 could"
        )
        assert "listed@victim.test,unsubscribed,*" in await _waymark(product, "suppressions", "export")

        reasons = {"dead": "bounced", "angry": "complained", "listed": "unsubscribed"}
        for who in reasons:
            await product.accepted(signed_up(f"{who}-2", f"{who}2", f"{who}@victim.test"))
        await product.accepted(signed_up("fine", "fine", "fine@victim.test"))
        for account in (*(f"{who}-2" for who in reasons), "fine"):
            await _sent_or_settled(product, account)
        for who, reason in reasons.items():
            assert await _statuses(product, f"{who}-2") == {("skipped", reason)}
            assert product.mails_to(f"{who}@victim.test") == []
        assert len(product.mails_to("fine@victim.test")) == 1


def _three_an_hour(text: str) -> str:
    return text.replace("sends: {max: 2000", "sends: {max: 3")


async def test_no_more_leaves_in_an_hour_than_the_ceiling_and_somebody_may_let_the_rest_go(
    deployment: Deployment,
) -> None:
    quiet = {
        "budget.yaml": lambda text: _three_an_hour(text).replace(
            'quiet: {from: "20:00", until: "08:00", weekends: true}', ""
        )
    }
    async with running(deployment.settings, quiet, live=True) as product:
        people = [event for number in range(9) for event in signed_up(f"c{number}", f"c{number}", f"c{number}@x.test")]
        await product.accepted(people)
        await product.settle()

        async def waiting() -> bool:
            return len([row for row in await product.outbox(status="pending") if row["reason"] == "ceiling"]) == 6

        await eventually(waiting, 120)
        assert len(product.mailbox.mails) == 3
        ready = await product.call("GET", "/notify/readyz", None)
        assert ready.status_code == 200
        assert "nothing more leaves until" in ready.json()["notices"]["ceiling:sends"]
        assert 'waymark_ceiling_tripped{ceiling="sends"} 1.0' in (await product.call("GET", "/notify/metrics")).text
        assert (await product.call("POST", "/notify/v1/ceilings/sends/release")).json()["counted"] == 0
        await _received(product, 6)


async def test_a_mail_server_without_starttls_never_hears_the_password(deployment: Deployment) -> None:
    server = Eavesdropper("AUTH PLAIN LOGIN")
    async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
        url = f"smtp://kim:very-secret@127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with running(deployment.settings, variables={"WAYMARK_SMTP_URL": url}, live=True) as product:
            await product.accepted(signed_up("acme", "ann", "ann@acme.test"))
            await _sent_or_settled(product, "acme")
            (row,) = await product.outbox(account="acme", play="welcome", channel="email")
            assert (row["status"], row["reason"]) == ("pending", "try_again")
            assert "a password is never sent in clear" in row["detail"]
            notices = (await product.call("GET", "/notify/readyz", None)).json()["notices"]
            assert "STARTTLS" in notices["channel:email"]
        assert server.heard
        assert not any("AUTH" in line for line in server.heard)
