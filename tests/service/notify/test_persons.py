"""Persons: a no holds for the address and the user id in every account, the budget for the person; who brings back whom."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select, text

from services.notify.handlers.delivery import DeliveryHandlers
from services.notify.persons import NewRefusal, refused_by
from services.notify.tables import marker, suppression
from services.notify.wiring import build
from shared.failures import Halted
from tests.conftest import Deployment, scaled
from tests.make import eventually
from tests.service.notify.doors import Mailbox, mail_server
from tests.service.notify.make import DAY, MONDAY, Customer, Office, defined_in, office

CASEY = {"email": "casey@consult.test", "name": "Casey Lee"}


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


@pytest.fixture
async def here(deployment: Deployment, box: Mailbox) -> AsyncIterator[Office]:
    async with mail_server(box) as port, office(deployment.settings, port) as made:
        await made.live()
        yield made


async def joins(here: Office, account: str, user: str = "casey", **more: Any) -> Customer:
    """A new account whose only contact is this person, whose welcome is due."""
    customer = Customer(account)
    await here.take(customer.person(user, **CASEY | more), customer.onboarding())
    await here.time()
    return customer


async def says_no(here: Office, account: str = "acme") -> None:
    row = await here.row(step="welcome_hello", account=account)
    assert (await here.http.post(here.path(row["id"]), data={"List-Unsubscribe": "One-Click"})).status_code == 200


async def outcome(here: Office, account: str) -> tuple[str, str]:
    await here.sends().send()
    row = await here.row(step="welcome_hello", account=account)
    return row["status"], row["reason"]


async def test_a_no_holds_in_every_account_under_every_user_id_in_every_spelling(here: Office, box: Mailbox) -> None:
    await joins(here, "acme")
    await here.sends().send()
    await says_no(here)
    here.clock.move(2 * DAY)
    await joins(here, "globex")
    await joins(here, "initech", "casey-2", email="Casey@Consult.TEST")
    await joins(here, "umbrella", email="casey@elsewhere.test")
    for account in ("globex", "initech", "umbrella"):
        assert await outcome(here, account) == ("skipped", "unsubscribed"), account
    assert len(box.mails) == 1


async def test_a_no_stops_what_another_account_has_planned_already(here: Office, box: Mailbox) -> None:
    await joins(here, "acme")
    await joins(here, "globex", "casey-2")
    await says_no(here)
    assert await outcome(here, "globex") == ("skipped", "unsubscribed")
    assert not box.mails


async def test_the_next_person_of_the_account_is_written_to_instead(here: Office, box: Mailbox) -> None:
    await joins(here, "acme")
    await here.sends().send()
    await says_no(here)
    here.clock.move(2 * DAY)
    customer = Customer("globex")
    await here.take(customer.person("bo"), customer.person("casey", **CASEY), customer.onboarding())
    await here.time()
    await here.sends().send()
    assert [mail["To"] for mail in box.mails][1:] == ["Bo Lee <bo@globex.test>"]


async def test_a_no_without_an_address_follows_the_user_id_to_its_address(here: Office) -> None:
    customer = Customer("acme")
    await here.take(customer.person("casey", email=None, unsubscribed=True))
    await joins(here, "globex")
    await joins(here, "initech", "casey-2")
    assert await outcome(here, "globex") == ("skipped", "unsubscribed")
    assert await outcome(here, "initech") == ("skipped", "unsubscribed")


async def test_a_no_to_a_topic_leaves_the_others_in_every_account(here: Office) -> None:
    await joins(here, "acme")
    row = await here.row(step="welcome_hello")
    wanted = {"account": "acme", "user": "casey", "topic": "survey", "granted": False}
    assert (await here.http.put("/v1/consents", json=wanted)).status_code == 200
    assert await outcome(here, "acme") == ("sent", "")
    here.clock.move(2 * DAY)
    await here.http.put("/v1/consents", json=wanted | {"topic": row["topic"]})
    await joins(here, "globex", "casey-2")
    assert await outcome(here, "globex") == ("skipped", "unsubscribed")


async def test_leaving_and_being_described_anew_brings_nobody_back(here: Office) -> None:
    customer = Customer("acme")
    await here.take(customer.person("casey", **CASEY, unsubscribed=True))
    await here.take(customer.person("casey", email=None, gone=True), customer.person("casey", **CASEY))
    await here.take(customer.onboarding())
    await here.time()
    await joins(here, "globex", "casey-2")
    assert await outcome(here, "acme") == ("skipped", "unsubscribed")
    assert await outcome(here, "globex") == ("skipped", "unsubscribed")


async def test_a_trusted_source_that_takes_the_no_back_brings_the_person_back_everywhere(here: Office) -> None:
    customer = Customer("acme")
    await here.take(customer.person("casey", **CASEY, unsubscribed=True))
    await joins(here, "umbrella", email="casey@elsewhere.test")
    assert await outcome(here, "umbrella") == ("skipped", "unsubscribed")
    await here.take(customer.build.contact(MONDAY + DAY, "casey", **CASEY, role="admin", resubscribed=True))
    for account, address in (("globex", "casey@consult.test"), ("initech", "casey@elsewhere.test")):
        await joins(here, account, email=address)
        assert await outcome(here, account) == ("sent", ""), account


async def test_what_a_source_says_of_an_earlier_time_takes_no_later_no_back(here: Office) -> None:
    customer = await joins(here, "acme")
    here.clock.move(timedelta(hours=1))
    await says_no(here)
    await here.take(customer.person("casey", **CASEY, resubscribed=True))
    await joins(here, "globex")
    assert await outcome(here, "globex") == ("skipped", "unsubscribed")


async def test_the_company_may_record_that_somebody_came_back(here: Office) -> None:
    await joins(here, "acme")
    await says_no(here)
    await joins(here, "globex", "casey-2")
    assert await outcome(here, "globex") == ("skipped", "unsubscribed")
    wanted = {"account": "globex", "user": "casey-2", "granted": True}
    assert (await here.http.put("/v1/consents", json=wanted)).status_code == 200
    await joins(here, "initech", "casey-3")
    assert await outcome(here, "initech") == ("sent", "")


@pytest.mark.parametrize("reason", ["bounced", "complained"])
async def test_a_dead_mailbox_and_a_complaint_say_so(here: Office, reason: Any) -> None:
    refusal = NewRefusal("*", reason, "smtp", MONDAY, "550 5.1.1 user unknown")
    async with here.database.transaction() as tx:
        assert await here.persons.suppress(tx, "Casey@consult.test", None, refusal)
        assert not await here.persons.suppress(tx, "casey@consult.test", None, refusal)
    await joins(here, "acme")
    assert await outcome(here, "acme") == ("skipped", reason)


async def test_one_person_in_three_accounts_gets_one_mail_a_day(here: Office, box: Mailbox) -> None:
    for number, account in enumerate(("acme", "globex", "initech")):
        await joins(here, account, f"casey-{number}")
    await here.sends().send()
    await here.sends().send()
    assert len(box.mails) == 1
    waiting = [row for row in await here.rows(step="welcome_hello") if row["status"] == "pending"]
    assert [(row["reason"], row["detail"]) for row in waiting] == [("budget", "one a day")] * 2
    here.clock.move(DAY)
    await here.sends().send()
    assert len(box.mails) == 2


async def test_what_is_planned_after_the_budget_is_used_up_says_so_at_once(here: Office) -> None:
    await joins(here, "acme")
    await here.sends().send()
    await joins(here, "globex", "casey-2")
    row = await here.row(step="welcome_hello", account="globex")
    assert (row["status"], row["reason"], row["detail"]) == ("pending", "budget", "one a day")
    assert row["not_before"] == here.clock.now() + DAY


async def test_a_mail_that_was_refused_costs_the_person_nothing(here: Office, box: Mailbox) -> None:
    box.to_rcpt = "550 no such user here"
    await joins(here, "acme")
    assert (await outcome(here, "acme"))[0] == "failed"
    key = here.persons.keys.of_address(CASEY["email"])
    async with here.database.snapshot() as read:
        assert (await here.persons.spent(read, [str(key)]))[str(key)] == []


async def test_an_address_that_only_a_browser_told_gets_no_mail(here: Office, box: Mailbox) -> None:
    await joins(here, "acme", email_trusted=False)
    assert await outcome(here, "acme") == ("skipped", "unverified")
    assert not box.mails


async def test_somebody_whose_address_is_trusted_is_preferred(here: Office, box: Mailbox) -> None:
    customer = Customer("acme")
    await here.take(customer.person("al", email_trusted=False), customer.person("bo"), customer.onboarding())
    await here.time()
    assert await outcome(here, "acme") == ("sent", "")
    assert [mail["To"] for mail in box.mails] == ["Bo Lee <bo@acme.test>"]


async def test_no_refusal_is_lost_with_its_contact(here: Office) -> None:
    customer = Customer("acme")
    await here.take(customer.person("casey", **CASEY, role=None, unsubscribed=True))
    await here.take(*(customer.person(f"u{number}", role=None) for number in range(2_000)))
    assert "casey" not in (await here.state()).contacts
    await here.take(customer.person("casey", **CASEY), customer.onboarding())
    await joins(here, "globex", "casey-2")
    assert await outcome(here, "globex") == ("skipped", "unsubscribed")


async def test_who_has_only_the_database_reads_no_user_id_and_tries_no_address(here: Office) -> None:
    await joins(here, "acme")
    await says_no(here)
    async with here.database.snapshot() as read:
        rows = await read.all(select(suppression))
        assert await read.scalar(select(func.count()).select_from(suppression)) == 2
    assert not [row for row in rows if "casey" in row.person or "consult" in row.person]


async def test_refusals_of_before_there_were_persons_hold_before_the_first_mail_leaves(
    here: Office, box: Mailbox
) -> None:
    await joins(here, "acme")
    await says_no(here)
    customer = Customer("umbrella")
    await here.take(customer.person("robin", email="robin@consult.test", unsubscribed=True))
    async with here.database.transaction() as tx:
        await tx.run(delete(suppression))
        await tx.run(delete(marker))
    await joins(here, "globex", "casey-2")
    await joins(here, "initech", "robin-2", email="Robin@consult.test")
    assert {row["status"] for row in await here.rows(step="welcome_hello")} == {"pending"}

    service = build(here.context, defined_in(here.context.settings.config))
    sending = asyncio.ensure_future(service.loops["notify-sends"]())

    async def refused() -> bool:
        return {row["reason"] for row in await here.rows(step="welcome_hello")} == {"unsubscribed"}

    try:
        await eventually(refused)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert not box.mails


async def test_with_another_secret_nothing_is_planned_or_sent(here: Office, box: Mailbox) -> None:
    await joins(here, "acme")
    await joins(here, "globex", "casey-2")
    other = build(
        here.context._replace(secret=b"another secret than before, long"), defined_in(here.context.settings.config)
    )
    with pytest.raises(Halted, match="hashed with another secret"):
        await other.loops["notify-sends"]()
    assert not box.mails


async def test_with_another_secret_no_no_is_taken_that_would_not_be_found_again(here: Office) -> None:
    await joins(here, "acme")
    context = here.context._replace(secret=b"another secret than before, long")
    other = Office(context, here.clock, defined_in(context.settings.config), here.channels)
    complaint = {"type": "complaint", "address": CASEY["email"]}
    imported = {"items": [{"address": CASEY["email"], "reason": "imported"}]}
    async with other.http:
        refused = [
            await other.http.post("/v1/feedback", json=complaint),
            await other.http.post("/v1/suppressions", json=imported),
            await other.http.delete("/v1/suppressions", params={"address": CASEY["email"]}),
        ]
    assert [answer.status_code for answer in refused] == [503, 503, 503]
    assert "hashed with another secret" in refused[0].text
    async with here.database.snapshot() as read:
        assert not await read.scalar(select(func.count()).select_from(suppression))


async def test_two_senders_at_two_accounts_of_one_person_send_one_mail(here: Office, box: Mailbox) -> None:
    """On PostgreSQL two transactions run at once: each has its account, and they meet at the person."""
    for number in range(4):
        await joins(here, f"acct{number}", f"casey-{number}")
    await asyncio.gather(*(here.sends().send() for _ in range(4)))
    assert len(box.mails) == 1
    assert sorted(row["reason"] for row in await here.rows(step="welcome_hello")) == ["", "budget", "budget", "budget"]


async def test_a_no_waits_for_the_person_and_stops_what_is_confirmed_after_it(here: Office) -> None:
    """The refusal is written while the other account's message stands before its point of no return."""
    await joins(here, "acme")
    await joins(here, "globex", "casey-2")
    handlers = DeliveryHandlers(here.book, here.writer, here.accounts, here.persons, "preview", {})
    row = await here.row(step="welcome_hello", account="globex")
    async with here.database.transaction() as tx:
        claimed = await handlers.claim(tx, row["id"], here.clock.now())
    assert claimed is not None

    async def confirmed() -> bool:
        async with here.database.transaction() as tx:
            return await handlers.confirm_send(tx, claimed.record, here.clock.now())

    async with here.database.transaction() as tx:
        refusal = NewRefusal("*", "unsubscribed", "link", here.clock.now())
        assert await here.persons.suppress(tx, CASEY["email"], "casey", refusal)
        asking = asyncio.ensure_future(confirmed())
        await asyncio.sleep(0.2)
        assert not asking.done()
    assert not await asking
    assert (await here.row(id=row["id"]))["reason"] == "unsubscribed"


async def test_a_yes_does_not_walk_through_everybody_elses_no(here: Office) -> None:
    """Of half a million imported addresses whoever comes back looks at none."""
    theirs = select(suppression.c.topic).where(refused_by(here.persons.keys.of(CASEY["email"], "casey")))
    on_postgresql = here.context.settings.database.startswith("postgresql")
    statement = theirs.compile(compile_kwargs={"literal_binds": True})
    async with here.database.transaction() as tx:
        if on_postgresql:  # it would rather read all of a table this small
            await tx.run(text("SET LOCAL enable_seqscan = off"))
        plan = await tx.all(text(f"EXPLAIN {'' if on_postgresql else 'QUERY PLAN'} {statement}"))
    steps = "\n".join(map(str, plan))
    assert "notify_suppression_source" in steps, steps


@pytest.mark.servers
async def test_reports_hold_nobody_while_they_wait_for_somebody_else(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Whoever locks persons locks all of them at once, in the order of their keys, whatever the order of a list of reports."""
    async with office(scaled(request, tmp_path)) as here:
        keys, database = here.persons.keys, here.context.database
        first, last = sorted(("ann@acme.test", "bob@acme.test"), key=keys.of_address)
        async with database.transaction() as tx:
            await here.persons.lock(tx, [str(keys.of_address(one)) for one in (first, last)])
        reports = [{"type": "complaint", "address": one} for one in (last, first)]

        async def waits() -> bool:
            async with database.snapshot() as read:
                return bool(await read.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))

        async with database.transaction() as tx:
            await here.persons.lock(tx, [str(keys.of_address(first))])
            posted = asyncio.create_task(here.http.post("/v1/feedback", json=reports))
            await eventually(waits)
            await here.persons.lock(tx, [str(keys.of_address(last))])
        assert (await posted).json() == {"suppressed": 2, "known": 0, "unbelieved": 0}
