"""Ceilings: a flood is held back with a reason and a time, is told to operators, and can be let go."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from shutil import copytree

import pytest
from sqlalchemy import delete, update

from services.notify.handlers.refusals import EarlierRefusals
from services.notify.tables import delivery, person
from tests.conftest import ROOT, Deployment
from tests.service.notify.doors import Mailbox, mail_server
from tests.service.notify.make import Customer, Office, defined_in, office

HOUR = timedelta(hours=1)


def company(folder: Path, ceilings: str) -> Path:
    """The shipped definitions with these ceilings."""
    config = folder / "config"
    copytree(ROOT / "config", config)
    budget = config / "budget.yaml"
    head, _, rest = budget.read_text("utf8").partition("ceilings:\n")
    budget.write_text(f"{head}ceilings: {ceilings}\n\n{rest[rest.index('# While') :]}", "utf8")
    return config


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


@pytest.fixture
def ceilings() -> str:
    return "{sends: {max: 3, within: 1h}}"


@pytest.fixture
async def here(deployment: Deployment, box: Mailbox, tmp_path: Path, ceilings: str) -> AsyncIterator[Office]:
    defined = defined_in(company(tmp_path, ceilings))
    async with mail_server(box) as port, office(deployment.settings, port, defined=defined) as made:
        await made.live()
        yield made


async def _welcomed(here: Office, accounts: int, first: int = 0) -> None:
    """So many accounts with a person each, whose welcome mail is planned."""
    for number in range(first, first + accounts):
        customer = Customer(f"account-{number}")
        await here.take(customer.person(f"ann-{number}"), customer.onboarding())
    await here.time()


async def _send_all(here: Office) -> None:
    while await here.sends().send():
        pass


async def test_what_is_over_the_ceiling_waits_with_a_reason_and_leaves_when_there_is_room(
    here: Office, box: Mailbox
) -> None:
    await _welcomed(here, 5)
    await _send_all(here)
    assert len(box.mails) == 3
    held = await here.rows(status="pending")
    assert {(row["reason"], row["detail"]) for row in held} == {("ceiling", "sends: 3 in 1 hour")}
    assert {row["attempt"] for row in held} == {0}
    (until,) = {row["not_before"] for row in held}
    assert here.clock.now() < until <= here.clock.now() + HOUR + timedelta(minutes=5)
    here.clock.move(until - here.clock.now())
    await _send_all(here)
    assert len(box.mails) == 5
    assert {row["status"] for row in await here.rows()} == {"sent"}


async def test_many_senders_at_once_let_through_no_more(here: Office, box: Mailbox) -> None:
    await _welcomed(here, 9)
    await asyncio.gather(*(here.sends().send() for _ in range(4)))
    await _send_all(here)
    assert len(box.mails) == 3
    assert {row["reason"] for row in await here.rows(status="pending")} == {"ceiling"}


async def test_a_failed_payment_counts_too(here: Office, box: Mailbox) -> None:
    await _welcomed(here, 5)
    async with here.database.transaction() as tx:
        await tx.run(update(delivery).values(outreach_class="transactional"))
    await _send_all(here)
    assert len(box.mails) == 3


async def test_an_operator_sees_a_ceiling_that_was_reached_and_releases_it(here: Office, box: Mailbox) -> None:
    await _welcomed(here, 5)
    await _send_all(here)
    sends, addresses = (await here.http.get("/v1/ceilings")).json()
    assert (sends["name"], sends["max"], sends["counted"], sends["then"]) == ("sends", 3, 3, "wait")
    assert sends["tripped_at"] is not None
    assert sends["until"] is not None
    assert addresses["tripped_at"] is None
    released = (await here.http.post("/v1/ceilings/sends/release")).json()
    assert (released["counted"], released["tripped_at"], released["released_by"]) == (0, None, "default")
    await _send_all(here)
    assert len(box.mails) == 5
    assert (await here.http.post("/v1/ceilings/nothing/release")).status_code == 404


@pytest.mark.parametrize("ceilings", ["{sends: {max: 2, within: 1h, then: stop}}"])
async def test_a_ceiling_that_stops_holds_until_somebody_releases_it(here: Office, box: Mailbox) -> None:
    await _welcomed(here, 4)
    await _send_all(here)
    here.clock.move(3 * HOUR)
    await _send_all(here)
    assert len(box.mails) == 2
    assert (await here.http.get("/v1/ceilings")).json()[0]["until"] is None
    await here.http.post("/v1/ceilings/sends/release")
    await _send_all(here)
    assert len(box.mails) == 4


@pytest.mark.parametrize("ceilings", ["{new_addresses: {max: 2, within: 1h}}"])
async def test_strangers_are_counted_apart_from_people_who_were_mailed_before(here: Office, box: Mailbox) -> None:
    await _welcomed(here, 4)
    await _send_all(here)
    assert len(box.mails) == 2
    assert {row["detail"] for row in await here.rows(status="pending")} == {"new_addresses: 2 in 1 hour"}
    here.clock.move(2 * HOUR)
    await _send_all(here)
    assert len(box.mails) == 4
    async with here.database.transaction() as tx:
        await tx.run(update(delivery).values(status="pending", not_before=here.clock.now()))
        await tx.run(update(person).values(spent="[]"))
    await _send_all(here)
    assert len(box.mails) == 8


@pytest.mark.parametrize("ceilings", ["{new_addresses: {max: 1, within: 1h}}"])
async def test_who_had_mail_before_there_were_persons_is_no_stranger(here: Office, box: Mailbox) -> None:
    """A database of an earlier version: the mails that went out are known, persons are not."""
    await _welcomed(here, 3)
    here.clock.move(HOUR)
    async with here.database.transaction() as tx:
        await tx.run(update(delivery).values(status="sent", sent_at=here.clock.now()))
        await tx.run(delete(person))
    carried = EarlierRefusals(here.accounts, here.persons, here.book.channels, here.database, here.clock)
    await carried.carry()
    async with here.database.transaction() as tx:
        await tx.run(update(delivery).values(status="pending", sent_at=None, not_before=here.clock.now()))
    await _send_all(here)
    assert len(box.mails) == 3


async def test_work_of_our_own_people_is_no_message_to_a_customer(here: Office) -> None:
    for number in range(5):
        customer = Customer(f"account-{number}")
        await here.take(*customer.begin())
    await here.time()
    assert (await here.http.get("/v1/ceilings")).json()[0]["counted"] == 0
