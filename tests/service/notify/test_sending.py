"""Sending: a delivery leaves once, or is in doubt and then never sent again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from services.notify.channels.channel import ConfirmSend, Delivery, Receipt
from services.notify.core.delivery import forget_contact
from services.notify.handlers.consent import unsubscribe
from services.notify.handlers.delivery import DeliveryHandlers
from services.notify.tables import delivery
from shared.contracts.outreach import OutreachRecorded
from shared.db.protocol import Database, Tx
from tests.conftest import Deployment
from tests.service.notify.doors import Mailbox, mail_server
from tests.service.notify.make import DAY, Customer, Office, office

HOUR = timedelta(hours=1)


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


@pytest.fixture
async def here(deployment: Deployment, box: Mailbox) -> AsyncIterator[Office]:
    async with mail_server(box) as port, office(deployment.settings, port) as made:
        await made.live()
        yield made


class RollsBack:
    """The database of a sender whose commits are refused."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.snapshot, self.close = inner.snapshot, inner.close

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        async with self._inner.transaction() as tx:
            yield tx
            raise ConnectionResetError("the server hung up")


class Begins:
    """A channel that remembers what it was given, whether or not it was confirmed."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    async def send(self, delivery: Delivery, before: ConfirmSend) -> Receipt:
        self.begun.append(delivery.id)
        await before()
        return Receipt("accepted")


class Recording:
    """A channel that remembers what it was given."""

    def __init__(self, receipt: Receipt) -> None:
        self.receipt = receipt
        self.sent: list[str] = []

    async def send(self, delivery: Delivery, before: ConfirmSend) -> Receipt:
        await before()
        self.sent.append(delivery.id)
        return self.receipt


async def test_a_live_mail_is_sent_once_with_its_way_out(here: Office, box: Mailbox) -> None:
    row = await here.welcomed()
    assert row["status"] == "pending"
    sends = here.sends()
    assert await sends.send() == 1
    assert await sends.send() == 0
    (mail,) = box.mails
    assert mail["To"] == "Ann Lee <ann@acme.test>"
    assert mail["Subject"] == row["subject"]
    assert mail["List-Unsubscribe"] == f"<{here.writer.unsubscribe_url(row['id'])}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert row["id"] in mail["Message-ID"]
    after = await here.row(id=row["id"])
    assert (after["status"], after["attempt"], after["sent_at"]) == ("sent", 1, here.clock.now())
    (told,) = await here.told()
    assert isinstance(told, OutreachRecorded)
    assert (told.delivery, told.status, told.user) == (row["id"], "sent", "ann")


async def test_two_senders_at_once_send_once(here: Office, box: Mailbox) -> None:
    for name in ("a", "b", "c"):
        await here.welcomed(name)
    await asyncio.gather(*(here.sends().send() for _ in range(4)))
    await here.sends().send()
    assert sorted(mail["To"] for mail in box.mails) == [f"Ann Lee <ann@{name}.test>" for name in ("a", "b", "c")]
    assert {row["status"] for row in await here.rows()} == {"sent"}


async def test_a_claim_that_was_rolled_back_is_not_sent(here: Office) -> None:
    """Another sender's claim has the same epoch then, so nothing later would tell the two apart."""
    row = await here.welcomed()
    mail = Begins()
    here.database = RollsBack(here.context.database)
    with pytest.raises(ConnectionResetError):
        await here.sends({"email": mail}).send()
    assert not mail.begun
    here.database = here.context.database
    assert (await here.row(id=row["id"]))["status"] == "pending"


async def test_in_preview_nothing_leaves_not_even_what_waits(here: Office, box: Mailbox) -> None:
    await here.welcomed()
    await here.http.put("/v1/mode", json={"mode": "preview"})
    assert await here.sends().send() == 0
    assert not box.mails
    await here.live()
    await here.sends().send()
    assert len(box.mails) == 1


async def test_what_was_due_is_not_claimed_after_somebody_set_preview(here: Office, box: Mailbox) -> None:
    row = await here.welcomed()
    handlers = DeliveryHandlers(here.book, here.writer, here.accounts, here.persons, "preview", {})
    async with here.database.snapshot() as read:
        due = await handlers.due(read, here.clock.now())
    assert due == [row["id"]]
    await here.http.put("/v1/mode", json={"mode": "preview"})
    async with here.database.transaction() as tx:
        assert await handlers.claim(tx, row["id"], here.clock.now()) is None
    assert (await here.row(id=row["id"]))["status"] == "pending"
    assert not box.mails


async def test_history_is_never_sent_even_when_released(here: Office, box: Mailbox) -> None:
    customer = Customer(history=True)
    await here.take(*customer.begin(), customer.clock(here.clock.now() + DAY))
    row = await here.row(step="welcome_hello")
    assert (row["status"], row["history"]) == ("previewed", True)
    answer = await here.http.post(f"/v1/outbox/{row['id']}/release")
    assert (answer.status_code, answer.json()["code"]) == (409, "history")
    assert (await here.http.post("/v1/outbox/release", json={"play": "welcome"})).json() == {"released": 0}
    async with here.database.transaction() as tx:
        await tx.run(update(delivery).values(status="pending"))
    await here.sends().send()
    assert not box.mails
    assert (await here.row(id=row["id"]))["status"] == "skipped"


async def test_a_previewed_mail_that_is_released_is_sent(here: Office, box: Mailbox) -> None:
    await here.http.put("/v1/mode", json={"mode": "preview"})
    row = await here.welcomed()
    await here.live()
    await here.sends().send()
    assert not box.mails
    assert (await here.http.post(f"/v1/outbox/{row['id']}/release")).json()["status"] == "pending"
    await here.sends().send()
    assert len(box.mails) == 1


async def test_a_sender_lost_after_its_data_leaves_doubt_and_no_second_mail(here: Office, box: Mailbox) -> None:
    row = await here.welcomed()
    await _lost(here, row["id"], "data_sent")
    assert await here.sends().send() == 1
    after = await here.row(id=row["id"])
    assert (after["status"], after["reason"]) == ("unknown", "unknown")
    assert [told.status for told in await here.told() if isinstance(told, OutreachRecorded)] == ["unknown"]
    here.clock.move(DAY)
    await here.sends().send()
    assert not box.mails


async def test_a_sender_lost_before_its_data_is_replaced(here: Office, box: Mailbox) -> None:
    row = await here.welcomed()
    await _lost(here, row["id"], "claimed")
    await here.sends().send()
    assert (await here.row(id=row["id"]))["reason"] == "try_again"
    here.clock.move(HOUR)
    await here.sends().send()
    assert len(box.mails) == 1


async def test_a_webhook_in_doubt_is_repeated_with_its_id(here: Office) -> None:
    row = await here.welcomed()
    await _lost(here, row["id"], "data_sent", channel="webhook")
    hook = Recording(Receipt("accepted"))
    await here.sends({"webhook": hook}).send()
    here.clock.move(HOUR)
    await here.sends({"webhook": hook}).send()
    assert hook.sent == [row["id"]]


async def test_a_name_cannot_break_a_header(here: Office, box: Mailbox) -> None:
    customer = Customer()
    await here.take(customer.person(name="Ann\r\nBcc: all@acme.test"), customer.onboarding())
    await here.time()
    await here.sends().send()
    (mail,) = box.mails
    assert mail["Bcc"] is None
    assert box.envelopes[0][1] == ["ann@acme.test"]


async def _lost(here: Office, name: str, stage: str, **more: str) -> None:
    """As a sender left it that died."""
    until = here.clock.now()
    left = more | {"status": "sending", "stage": stage, "attempt": 1, "lease_epoch": 1, "lease_until": until}
    async with here.database.transaction() as tx:
        await tx.run(update(delivery).where(delivery.c.id == name).values(left))


async def test_a_lost_lease_stops_before_the_point_of_no_return(here: Office) -> None:
    row = await here.welcomed()

    class Slow(Recording):
        async def send(self, delivery: Delivery, before: ConfirmSend) -> Receipt:
            here.clock.move(HOUR)
            await here.sends({"email": Recording(Receipt("refused"))}).send()
            return await super().send(delivery, before)

    slow = Slow(Receipt("accepted"))
    await here.sends({"email": slow}).send()
    assert not slow.sent
    assert (await here.row(id=row["id"]))["status"] == "pending"


async def test_a_no_in_the_middle_of_the_conversation_is_heeded(here: Office) -> None:
    """Claimed, then frozen; the person unsubscribes; thawed, the sender asks once more before its point of no return."""
    row = await here.welcomed()

    class Frozen(Recording):
        async def send(self, delivery: Delivery, before: ConfirmSend) -> Receipt:
            async with here.database.transaction() as tx:
                await unsubscribe(tx, row["id"], here.accounts, here.persons, here.clock.now(), everything=True)
            return await super().send(delivery, before)

    frozen = Frozen(Receipt("accepted"))
    await here.sends({"email": frozen}).send()
    assert not frozen.sent
    after = await here.row(id=row["id"])
    assert (after["status"], after["reason"]) == ("skipped", "unsubscribed")
    assert not (await here.state()).budget_entries
    assert [told.status for told in await here.told() if isinstance(told, OutreachRecorded)] == ["skipped"]


async def test_a_webhook_that_may_have_arrived_counts_although_it_is_then_given_up(here: Office) -> None:
    row = await here.welcomed()
    async with here.database.transaction() as tx:
        await tx.run(update(delivery).values(channel="webhook"))
    torn = Recording(Receipt("retry_idempotent", "ReadError"))
    await here.sends({"webhook": torn}).send()
    claimed_at = here.clock.now()
    async with here.database.transaction() as tx:
        await unsubscribe(tx, row["id"], here.accounts, here.persons, here.clock.now(), everything=True)
    here.clock.move(HOUR)
    await here.sends({"webhook": torn}).send()
    assert torn.sent == [row["id"]]
    assert (await here.row(id=row["id"]))["status"] == "skipped"
    assert [spent.at for spent in (await here.state()).budget_entries] == [claimed_at]


async def test_a_webhook_that_hung_through_the_night_counts_from_the_morning(here: Office) -> None:
    await here.welcomed()
    async with here.database.transaction() as tx:
        await tx.run(update(delivery).values(channel="webhook"))

    class Hanging(Recording):
        async def send(self, delivery: Delivery, before: ConfirmSend) -> Receipt:  # noqa: ARG002  the protocol
            await before()
            here.clock.move(16 * HOUR)
            return self.receipt

    await here.sends({"webhook": Hanging(Receipt("retry_idempotent", "ReadError"))}).send()
    assert [spent.at for spent in (await here.state()).budget_entries] == [here.clock.now()]


async def test_a_sender_that_comes_after_its_lease_says_nothing(here: Office) -> None:
    """Frozen for a day, and nobody took the delivery up meanwhile: what was judged at the claim no longer holds."""
    row = await here.welcomed()

    class Frozen(Recording):
        async def send(self, delivery: Delivery, before: ConfirmSend) -> Receipt:
            here.clock.move(DAY)
            return await super().send(delivery, before)

    frozen = Frozen(Receipt("accepted"))
    await here.sends({"email": frozen}).send()
    assert not frozen.sent
    await here.sends({"email": frozen}).send()
    assert (await here.row(id=row["id"]))["reason"] == "try_again"


async def test_a_contact_counts_from_its_point_of_no_return_even_before_anybody_knows_its_end(here: Office) -> None:
    await here.welcomed()
    seen: list[datetime] = []

    class Slow(Recording):
        async def send(self, delivery: Delivery, before: ConfirmSend) -> Receipt:
            here.clock.move(timedelta(minutes=3))
            receipt = await super().send(delivery, before)
            seen.extend(spent.at for spent in (await here.state()).budget_entries)
            return receipt

    await here.sends({"email": Slow(Receipt("accepted"))}).send()
    assert seen == [here.clock.now()]


async def test_a_contact_that_was_planned_long_ago_counts_when_it_leaves(here: Office, box: Mailbox) -> None:
    """The budget remembers a week: what was planned before that, and leaves now, is remembered again."""
    row = await here.welcomed()
    async with here.database.transaction() as tx:
        stored = await here.accounts.load_for_update(tx, ["acme"])
        await here.accounts.save(tx, [forget_contact(stored["acme"], row["id"])])
    await here.sends().send()
    assert len(box.mails) == 1
    assert [spent.delivery for spent in (await here.state()).budget_entries] == [row["id"]]


async def test_what_waited_together_does_not_leave_together(here: Office, box: Mailbox) -> None:
    """Planned two days apart, held up by an outage, claimed at once: one a day is still one a day."""
    await here.welcomed()
    here.clock.move(2 * DAY)
    await here.time()
    here.clock.move(DAY + 4 * HOUR)
    assert [row["status"] for row in await here.rows(channel="email")] == ["pending", "pending"]
    await here.sends().send()
    assert len(box.mails) == 1
    (waiting,) = [row for row in await here.rows(channel="email") if row["status"] == "pending"]
    assert (waiting["reason"], waiting["detail"]) == ("budget", "one a day")


async def test_a_mail_in_doubt_counts_from_when_it_may_have_arrived(here: Office, box: Mailbox) -> None:
    box.hang_up = True
    row = await here.welcomed()
    here.clock.move(DAY + 4 * HOUR)
    await here.sends().send()
    assert (await here.row(id=row["id"]))["status"] == "unknown"
    assert [spent.at for spent in (await here.state()).budget_entries] == [here.clock.now()]


async def test_an_attempt_that_fails_is_repeated_for_days_and_not_after_it_is_too_late(here: Office) -> None:
    row = await here.welcomed()
    busy = Recording(Receipt("retry", "busy"))
    while (after := await here.row(id=row["id"]))["status"] == "pending":
        await here.sends({"email": busy}).send()
        here.clock.move(2 * HOUR)
    assert (after["status"], after["reason"]) == ("skipped", "expired")
    assert after["detail"].endswith("attempts: busy")
    assert len(busy.sent) > 20
    assert not (await here.state()).budget_entries


async def test_what_the_server_refuses_has_failed(here: Office, box: Mailbox) -> None:
    box.to_rcpt = "550 no such person"
    row = await here.welcomed()
    await here.sends().send()
    after = await here.row(id=row["id"])
    assert (after["status"], after["reason"]) == ("failed", "bounced")
    assert "550" in after["detail"]


async def test_a_conversation_that_breaks_off_is_in_doubt(here: Office, box: Mailbox) -> None:
    box.hang_up = True
    row = await here.welcomed()
    await here.sends().send()
    here.clock.move(HOUR)
    await here.sends().send()
    assert (await here.row(id=row["id"]))["status"] == "unknown"
    assert box.steps == ["data"]


async def test_a_mail_that_is_too_late_is_skipped(here: Office, box: Mailbox) -> None:
    row = await here.welcomed()
    here.clock.move(6 * DAY)
    await here.sends().send()
    assert (await here.row(id=row["id"]))["reason"] == "expired"
    assert not box.mails


async def test_without_a_mail_server_mail_waits_and_says_so(deployment: Deployment) -> None:
    async with office(deployment.settings) as here:
        await here.live()
        row = await here.welcomed()
        await here.sends().send()
        after = await here.row(id=row["id"])
        assert (after["status"], after["reason"]) == ("pending", "not_configured")
        assert after["detail"] == "WAYMARK_SMTP_URL is not set"
        assert after["attempt"] == 0
