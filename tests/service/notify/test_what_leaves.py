"""What leaves: at the moment of leaving everything is asked again, however it came to wait, and the text is written then."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from services.notify.channels.channel import ConfirmSend, Delivery, Receipt
from services.notify.handlers.planning import MessageWriter
from services.notify.rendering import Templates
from services.notify.tables import delivery
from shared.contracts.lifecycle import Snapshot
from shared.contracts.outreach import OutreachRecorded
from tests.conftest import Deployment
from tests.service.notify.make import DAY, MONDAY, Customer, Office, defined_in, office

HOUR = timedelta(hours=1)


class Channel:
    """A mail channel that answers what it is told to; `before` runs when a conversation begins."""

    def __init__(self, *receipts: Receipt) -> None:
        self.receipts = list(receipts)
        self.mails: list[Delivery] = []
        self.before: Any = None

    async def send(self, delivery: Delivery, confirm: ConfirmSend) -> Receipt:
        if self.before is not None:
            await self.before()
        receipt = self.receipts.pop(0) if self.receipts else Receipt("accepted")
        if receipt.outcome != "retry":
            await confirm()
            self.mails.append(delivery)
        return receipt


class Debtor(Customer):
    """A customer whose payment did not go through, and who pays, or does not."""

    def failed(self) -> Any:
        traits = {"name": "Acme", "plan": "Pro", "mrr": 90}
        view = Snapshot("adoption", MONDAY, metrics={"unpaid_invoices": 1}, traits=traits)
        return self.build.signal(MONDAY, "payment_failed", snapshot=view)

    def paid(self) -> Any:
        return self.build.fact(MONDAY + HOUR, "invoice_paid")


@pytest.fixture
async def here(deployment: Deployment) -> AsyncIterator[Office]:
    async with office(deployment.settings) as made:
        await made.live()
        yield made


async def _in_debt(here: Office) -> Debtor:
    customer = Debtor()
    await here.take(customer.person(), customer.failed())
    await here.time()
    return customer


async def _is_left_out(here: Office, channel: Channel) -> None:
    await here.sends({"email": channel}).send()
    assert not channel.mails
    row = await here.row(play="payment_failed", step="first")
    assert (row["status"], row["reason"], row["detail"]) == ("skipped", "stopped", "fact invoice_paid")
    told = [one for one in await here.told() if isinstance(one, OutreachRecorded) and one.step == "first"]
    assert (told[-1].status, told[-1].reason) == ("skipped", "stopped")
    assert (await here.http.get(f"/v1/outbox/{row['id']}")).json()["reason"] == "stopped"


async def test_a_payment_that_went_through_is_not_dunned_by_a_retry(here: Office) -> None:
    customer = await _in_debt(here)
    busy = Channel(Receipt("retry", "421 busy"))
    await here.sends({"email": busy}).send()
    assert (await here.row(step="first"))["reason"] == "try_again"
    await here.take(customer.paid())
    here.clock.move(2 * HOUR)
    await _is_left_out(here, busy)


async def test_nor_by_a_release_from_preview(here: Office) -> None:
    await here.http.put("/v1/mode", json={"mode": "preview"})
    customer = await _in_debt(here)
    await here.live()
    await here.take(customer.paid())
    row = await here.row(step="first")
    assert (await here.http.post(f"/v1/outbox/{row['id']}/release")).status_code == 200
    await _is_left_out(here, Channel())


@pytest.mark.parametrize("reason", ["quiet_hours", "ceiling", "budget", "not_configured"])
async def test_nor_after_it_waited_for_something_else(here: Office, reason: str) -> None:
    customer = await _in_debt(here)
    later = update(delivery).where(delivery.c.step == "first").values(reason=reason, not_before=MONDAY + 2 * HOUR)
    async with here.database.transaction() as tx:
        await tx.run(later)
    await here.take(customer.paid())
    here.clock.move(3 * HOUR)
    await _is_left_out(here, Channel())


async def test_nor_when_they_pay_while_the_mail_server_takes_its_time(here: Office) -> None:
    customer = await _in_debt(here)
    slow = Channel()

    async def pays() -> None:
        await here.take(customer.paid())

    slow.before = pays
    await _is_left_out(here, slow)


async def test_a_new_failure_after_the_payment_is_dunned(here: Office) -> None:
    customer = await _in_debt(here)
    await here.take(customer.paid(), customer.build.signal(MONDAY + 20 * DAY, "payment_failed"))
    here.clock.move(20 * DAY)
    await here.time()
    await here.sends({"email": (mail := Channel())}).send()
    rows = await here.rows(play="payment_failed", step="first")
    assert [row["status"] for row in rows] == ["skipped", "sent"]
    assert [one.id for one in mail.mails] == [rows[1]["id"]]


async def test_the_text_is_written_of_what_is_known_when_it_leaves_and_recorded(here: Office) -> None:
    customer = Customer()
    await here.take(customer.person(), customer.onboarding())
    await here.time()
    planned = await here.row(step="welcome_hello")
    assert "Hello Ann" in planned["text"]
    assert "Kim" in planned["text"]
    moved = Snapshot("onboarding", MONDAY, traits={"name": "Acme Labs", "csm": "Robin"})
    await here.take(customer.person(name="Hanna Lee"), customer.build.signal(MONDAY, "other", snapshot=moved))
    here.clock.move(HOUR)
    await here.sends({"email": (mail := Channel())}).send()
    (sent,) = mail.mails
    row = await here.row(step="welcome_hello")
    assert (row["text"], row["html"], row["subject"]) == (sent.text, sent.html, sent.subject)
    assert "Hello Hanna" in sent.text
    assert "Robin" in sent.text
    assert "Kim" not in sent.text


async def test_what_names_nobody_stands_in_no_head_of_a_mail(here: Office) -> None:
    for account, name in (("a", "Admin"), ("b", "s3-8f3k2"), ("c", "null"), ("d", "SMITH, Ann")):
        customer = Customer(account)
        await here.take(customer.person(name=name), customer.onboarding())
    await here.time()
    await here.sends({"email": (mail := Channel())}).send()
    assert {one.account: one.name for one in mail.mails} == {"a": "", "b": "", "c": "", "d": "SMITH, Ann"}


async def test_what_may_have_arrived_is_repeated_word_for_word(here: Office) -> None:
    """The receiver knows a repeat by its id: what is recorded is what the first one said."""
    customer = Customer()
    await here.take(customer.person(), customer.onboarding())
    await here.time()
    torn = Channel(Receipt("retry_idempotent", "ReadError"))
    async with here.database.transaction() as tx:
        await tx.run(update(delivery).values(channel="webhook"))
    await here.sends({"webhook": torn}).send()
    await here.take(customer.person(name="Hanna Lee"))
    here.clock.move(HOUR)
    await here.sends({"webhook": torn}).send()
    first, second = torn.mails
    assert (first.id, first.text) == (second.id, second.text)
    assert (await here.row(step="welcome_hello"))["text"] == first.text


async def test_what_lost_its_reason_is_left_out_in_words_and_costs_nothing(here: Office) -> None:
    customer = Debtor()
    seats = {"seats": 10, "active_users_28d": 9, "seat_utilisation": 0.9}
    view = Snapshot("expansion", MONDAY, band="green", metrics=seats, traits={"name": "Acme"})
    await here.take(customer.person(), customer.build.signal(MONDAY, "seat_expansion", snapshot=view))
    await here.time()
    assert (await here.row(step="seat_expansion_mail"))["status"] == "pending"
    bare = Snapshot("expansion", MONDAY, band="green", metrics=seats | {"seats": None}, traits={"name": "Acme"})
    await here.take(customer.build.signal(MONDAY, "other", snapshot=bare))
    await here.sends({"email": (mail := Channel())}).send()
    row = await here.row(step="seat_expansion_mail")
    assert not mail.mails
    assert (row["status"], row["reason"], row["detail"]) == ("skipped", "guard", "seats >= 1 (seats = unknown)")
    assert not (await here.state()).budget_entries


async def test_what_cannot_be_written_any_more_is_left_out_and_says_why(here: Office) -> None:
    await here.welcomed()
    texts = Templates(
        {"welcome_hello": "Subject: Hello\n\n{{ trait_plan }}", "footer": "Subject: -\n\n{{ unsubscribe_link }}"}
    )
    here.writer = MessageWriter(
        defined_in(here.context.settings.config)._replace(templates=texts), here.links, "https://way.test"
    )
    await here.sends({"email": (mail := Channel())}).send()
    row = await here.row(step="welcome_hello")
    assert not mail.mails
    assert (row["status"], row["reason"]) == ("skipped", "unwritable")
    assert "trait_plan" in row["detail"]
