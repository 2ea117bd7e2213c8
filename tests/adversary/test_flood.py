"""From outside: nobody floods people through it, speaks to them in our name, or has it write to dead and unwilling addresses."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.adversary.product import Event, Product, group, identify, running, track
from tests.conftest import Deployment
from tests.make import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
STRANGER = "stranger@victim.test"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(place: Deployment) -> AsyncIterator[Product]:
    async with running(place.settings, live=True) as started:
        yield started


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


async def _mailed(product: Product, address: str) -> bool:
    return bool(product.mails_to(address))


async def _statuses(product: Product, account: str) -> set[tuple[str, str]]:
    rows = await product.outbox(account=account, play="welcome", channel="email")
    return {(row["status"], row["reason"]) for row in rows}


async def test_one_post_reaches_a_stranger_once_and_carries_nothing_of_the_attackers(product: Product) -> None:
    trick = "free-money.example visit http://free-money.example/now \u202e"
    public = [event for number in range(60) for event in signed_up(f"b{number}", f"b{number}", "b@victim.test")]
    await product.accepted(public, "browser")
    flood: list[Event] = []
    for number in range(60):
        account = f"a{number}"
        flood.append(group(account, f"u{number}", name=f"Claim your prize: {trick}"))
        flood += signed_up(account, f"u{number}", STRANGER, trick)
    tagged = [f"stranger+{number}@victim.test" for number in range(20)]
    flood += [event for number, to in enumerate(tagged) for event in signed_up(f"t{number}", f"t{number}", to, trick)]
    flood += signed_up("turned", "turned", "turned@victim.test", "Ann \u202eeeL Lee")
    flood += [event for number in range(60) for event in signed_up("one", f"w{number}", STRANGER, trick)]
    await product.accepted(flood)
    await product.settle()

    async def decided() -> bool:
        """Of each account what became of its welcome, and none is on its way."""
        rows = await product.outbox(play="welcome", channel="email")
        done = {row["account"] for row in rows if row["status"] not in {"pending", "sending"} or row["reason"]}
        return done >= {*(f"a{number}" for number in range(60)), *(f"t{number}" for number in range(20)), "one"}

    await eventually(decided, 120)
    await _received(product, 1)
    (mail,) = [mail for address in (STRANGER, *tagged) for mail in product.mails_to(address)]
    text = "\n".join(part.get_content() for part in mail.walk() if part.get_content_maintype() == "text")
    for seen in (mail["Subject"], mail["To"], text):
        assert "free-money" not in seen
        assert "\u202e" not in seen
    assert "Hello there," in text
    await eventually(lambda: _mailed(product, "turned@victim.test"), 120)
    assert "\u202e" not in str(product.mails_to("turned@victim.test")[0]["To"])
    assert product.mails_to("b@victim.test") == []


async def test_dead_unwilling_and_listed_addresses_are_written_to_from_no_account(
    product: Product, tmp_path: Path
) -> None:
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
    assert (await product.waymark("suppressions", "import", str(old))).startswith("1 added, 0 were known, 1 could")
    assert "listed@victim.test,unsubscribed,*" in await product.waymark("suppressions", "export")

    reasons = {"dead": "bounced", "angry": "complained", "listed": "unsubscribed"}
    for who in reasons:
        await product.accepted(signed_up(f"{who}-2", f"{who}2", f"{who}@victim.test"))
    await product.accepted(signed_up("fine", "fine", "fine@victim.test"))
    for account in (*(f"{who}-2" for who in reasons), "fine"):
        await _sent_or_settled(product, account)
    for who, reason in reasons.items():
        assert await _statuses(product, f"{who}-2") == {("skipped", reason)}
        assert product.mails_to(f"{who}@victim.test") == []
    (mail,) = product.mails_to("fine@victim.test")

    for named, became in (("<invented@vendor.test>", "unbelieved"), (str(mail["Message-ID"]), "suppressed")):
        report = _BOUNCE.format(address="fine@victim.test", named=named)
        answer = await product.call("POST", "/notify/v1/feedback/mail", "server", content=report.encode())
        assert answer.json()[became] == 1, answer.text
    await product.accepted(signed_up("fine-2", "fine2", "fine@victim.test"))
    await _sent_or_settled(product, "fine-2")
    assert await _statuses(product, "fine-2") == {("skipped", "bounced")}


_BOUNCE = """\
From: MAILER-DAEMON@mx.test
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.test

Final-Recipient: rfc822; {address}
Action: failed
Status: 5.1.1

--B
Content-Type: text/rfc822-headers

To: {address}
Message-ID: {named}

--B--
"""


def _few_an_hour(text: str) -> str:
    return text.replace("sends: {max: 2000", "sends: {max: 3").replace(
        "new_addresses: {max: 500", "new_addresses: {max: 5"
    )


async def test_no_more_leaves_in_an_hour_than_the_ceiling_and_somebody_may_let_the_rest_go(
    deployment: Deployment,
) -> None:
    quiet = {
        "budget.yaml": lambda text: _few_an_hour(text).replace(
            'quiet: {from: "20:00", until: "08:00", weekends: true}', ""
        )
    }
    async with running(deployment.settings, quiet, live=True) as product:
        people = [event for number in range(9) for event in signed_up(f"c{number}", f"c{number}", f"c{number}@x.test")]
        await product.accepted(people)
        await product.settle()

        async def held(ceiling: str) -> int:
            rows = [row for row in await product.outbox(status="pending") if row["reason"] == "ceiling"]
            return len([row for row in rows if row["detail"].startswith(f"{ceiling}:")])

        async def six_wait() -> bool:
            return await held("sends") == 6

        async def four_are_strangers() -> bool:
            return await held("new_addresses") == 4

        await eventually(six_wait, 120)
        assert len(product.mailbox.mails) == 3
        ready = await product.call("GET", "/notify/readyz", None)
        assert ready.status_code == 200
        assert "nothing more leaves until" in ready.json()["notices"]["ceiling:sends"]
        assert 'waymark_ceiling_tripped{ceiling="sends"} 1.0' in (await product.call("GET", "/notify/metrics")).text
        assert (await product.call("POST", "/notify/v1/ceilings/sends/release")).json()["counted"] == 0
        await eventually(four_are_strangers, 120)
        assert len(product.mailbox.mails) == 5
        await product.call("POST", "/notify/v1/ceilings/new_addresses/release")
        await _received(product, 6)
