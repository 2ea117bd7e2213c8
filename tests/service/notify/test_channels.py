"""A channel that is added is a descriptor and its line; whatever goes wrong with one delivery, the others are sent."""

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from services.notify.channels.channel import Channel, ChannelTable, ConfirmSend, Delivery, Receipt
from services.notify.channels.email import EMAIL
from services.notify.channels.task import TASK
from services.notify.channels.webhook import WEBHOOK
from services.notify.core.channels import ChannelTraits, CrashOutcomes, anybody
from services.notify.core.delivery import NewerDecision
from services.notify.definition import Definition, load_plays
from services.notify.tables import delivery
from shared.definitions import DefinitionError
from tests.conftest import Deployment
from tests.service.notify.doors import Mailbox, mail_server
from tests.service.notify.make import Customer, Office, office

HOUR = timedelta(hours=1)
PLAY = """\
name: note
description: A note that a pigeon carries.
class: onboarding
on: {stage: onboarding}
cooldown: never
steps:
  - {after: 0d, channel: pigeon, template: welcome_hello}
"""


class Pigeon:
    """Carries the note, unless it was told to get lost before or after its point of no return."""

    def __init__(self) -> None:
        self.carried: list[str] = []
        self.lost_before = False
        self.lost_after = False

    async def send(self, delivery: Delivery, confirm: ConfirmSend) -> Receipt:
        if self.lost_before:
            raise OSError("a hawk")
        await confirm()
        if self.lost_after:
            raise KeyError("no way home")
        self.carried.append(delivery.id)
        return Receipt("accepted", reference="ring 7")


def channel(pigeon: Pigeon, *, reaches_customer: bool = True) -> Channel:
    traits = ChannelTraits(
        name="pigeon",
        reaches_customer=reaches_customer,
        opens_task=False,
        quiet_hours=False,
        unsubscribe_footer=False,
        address_rule=anybody,
        crash_outcomes=CrashOutcomes(claimed="retry", data_sent="uncertain"),
    )
    return Channel(traits, (), lambda _settings, _now: pigeon)


def defined(config: Path, to: Path, table: ChannelTable) -> Definition:
    """A company whose only play has one step, on the new channel."""
    shutil.copytree(config / "templates", to / "templates")
    for file in ("budget.yaml", "brand.yaml"):
        shutil.copy(config / file, to)
    (to / "plays").mkdir()
    (to / "plays/note.yaml").write_text(PLAY, "utf8")
    return load_plays(to, table.traits)


@pytest.fixture
def pigeon() -> Pigeon:
    return Pigeon()


@pytest.fixture
async def coop(deployment: Deployment, tmp_path: Path, pigeon: Pigeon) -> AsyncIterator[Office]:
    """Notify with the new channel."""
    settings, table = deployment.settings, ChannelTable(EMAIL, WEBHOOK, TASK, channel(pigeon))
    async with office(settings, defined=defined(settings.config, tmp_path, table), channels=table) as made:
        await made.live()
        yield made


async def planned(here: Office) -> dict[str, Any]:
    await here.take(*Customer().begin())
    await here.time()
    return await here.row(play="note")


async def lost(here: Office, delivery_id: str, stage: str) -> None:
    """As a sender left it that died at this stage."""
    until = here.clock.now()
    values = {"status": "sending", "stage": stage, "attempt": 1, "lease_epoch": 1, "lease_until": until}
    async with here.database.transaction() as tx:
        await tx.run(update(delivery).where(delivery.c.id == delivery_id).values(values))


async def test_a_delivery_of_an_added_channel_is_sent_and_listed(coop: Office, pigeon: Pigeon) -> None:
    row = await planned(coop)
    assert (row["channel"], row["status"]) == ("pigeon", "pending")
    assert await coop.sends().send() == 1
    assert pigeon.carried == [row["id"]]
    (listed,) = (await coop.http.get("/v1/outbox", params={"channel": "pigeon"})).json()["items"]
    assert (listed["status"], listed["id"]) == ("sent", row["id"])
    assert (await coop.row(id=row["id"]))["provider_ref"] == "ring 7"


async def test_an_added_channel_to_our_own_people_is_sent_and_costs_no_budget(
    deployment: Deployment, tmp_path: Path, pigeon: Pigeon
) -> None:
    table = ChannelTable(EMAIL, TASK, channel(pigeon, reaches_customer=False))
    book = defined(deployment.settings.config, tmp_path, table)
    async with office(deployment.settings, defined=book, channels=table) as coop:
        row = await planned(coop)
        assert (row["status"], row["user"]) == ("previewed", None)
        await coop.live()
        assert (await coop.http.post(f"/v1/outbox/{row['id']}/release")).status_code == 200
        await coop.sends().send()
        assert pigeon.carried == [row["id"]]
        assert (await coop.row(id=row["id"]))["status"] == "sent"
        state = await coop.state()
        assert (state.budget_entries, state.open_tasks) == ([], {})


async def test_an_added_channel_whose_sender_died_before_its_data_tries_again(coop: Office, pigeon: Pigeon) -> None:
    row = await planned(coop)
    await lost(coop, row["id"], "claimed")
    await coop.sends().send()
    assert (await coop.row(id=row["id"]))["reason"] == "try_again"
    coop.clock.move(HOUR)
    await coop.sends().send()
    assert pigeon.carried == [row["id"]]


async def test_an_added_channel_whose_sender_died_after_its_data_ends_as_it_says(coop: Office, pigeon: Pigeon) -> None:
    row = await planned(coop)
    await lost(coop, row["id"], "data_sent")
    await coop.sends().send()
    assert (await coop.row(id=row["id"]))["status"] == "unknown"
    assert not pigeon.carried


async def test_an_error_of_a_channel_ends_its_attempt_as_a_crash_would(coop: Office, pigeon: Pigeon) -> None:
    row, pigeon.lost_before = await planned(coop), True
    await coop.sends().send()
    after = await coop.row(id=row["id"])
    assert (after["status"], after["reason"], after["detail"]) == ("pending", "try_again", "OSError('a hawk')")
    coop.clock.move(HOUR)
    pigeon.lost_before, pigeon.lost_after = False, True
    await coop.sends().send()
    assert (await coop.row(id=row["id"]))["status"] == "unknown"


async def test_without_its_line_a_play_on_the_channel_is_a_mistake(
    deployment: Deployment, tmp_path: Path, pigeon: Pigeon
) -> None:
    with pytest.raises(DefinitionError) as told:
        defined(deployment.settings.config, tmp_path, ChannelTable(EMAIL, WEBHOOK, TASK))
    (mistake,) = told.value.mistakes
    assert mistake.line == 7
    assert mistake.problem == "Invalid enum value 'pigeon'; the channels are email, webhook, task"
    assert defined(deployment.settings.config, tmp_path / "with", ChannelTable(TASK, channel(pigeon)))


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


@pytest.fixture
async def here(deployment: Deployment, box: Mailbox) -> AsyncIterator[Office]:
    async with mail_server(box) as port, office(deployment.settings, port) as made:
        await made.live()
        yield made


@pytest.mark.parametrize(("stage", "status"), [("claimed", "pending"), ("data_sent", "unknown")])
async def test_a_stranded_delivery_of_a_channel_that_is_gone_stops_no_mail(
    here: Office, box: Mailbox, stage: str, status: str
) -> None:
    row = await here.welcomed("acme")
    await here.welcomed("beta")
    async with here.database.transaction() as tx:
        await tx.run(update(delivery).where(delivery.c.id == row["id"]).values(channel="slack"))
    await lost(here, row["id"], stage)
    await here.sends().send()
    assert (await here.row(id=row["id"]))["status"] == status
    assert [mail["To"] for mail in box.mails] == ["Ann Lee <ann@beta.test>"]
    assert (await here.row(account="beta"))["status"] == "sent"


async def test_a_waiting_delivery_of_a_channel_that_is_gone_says_so(here: Office) -> None:
    row = await here.welcomed()
    async with here.database.transaction() as tx:
        await tx.run(update(delivery).values(channel="slack"))
    await here.sends().send()
    after = await here.row(id=row["id"])
    assert (after["status"], after["reason"]) == ("pending", "not_configured")
    assert "no channel 'slack'" in after["detail"]


@pytest.mark.parametrize("status", ["pending", "sending"])
async def test_deliveries_that_cannot_be_handled_are_put_aside_and_the_others_are_sent(
    here: Office, box: Mailbox, status: str
) -> None:
    """More of them than a sender takes at once, and first in line."""
    broken = [(await here.welcomed(f"a{number}"))["id"] for number in range(5)]
    async with here.database.transaction() as tx:
        await tx.run(
            update(delivery).values(decision=b"{", stage="data_sent", lease_until=here.clock.now(), status=status)
        )
    await here.welcomed("last")
    sends = here.sends()
    while await sends.send():
        pass
    assert len(box.mails) == 1
    assert (await here.row(account="last"))["status"] == "sent"
    for delivery_id in broken:
        row = await here.row(id=delivery_id)
        assert row["status"] == status
        assert "JSON" in row["detail"] or "truncated" in row["detail"].lower()
        assert max(row["not_before"], row["lease_until"]) > here.clock.now()


@pytest.mark.parametrize("status", ["pending", "sending"])
async def test_a_delivery_that_a_newer_version_stored_stops_the_sender_and_stays_as_it_is(
    here: Office, box: Mailbox, status: str
) -> None:
    """It would be put aside for ever: nobody would notice that an older version runs on a newer one's data."""
    stored = await here.welcomed()
    newer = stored["decision"].replace(b'"layout":2', b'"layout":99')
    async with here.database.transaction() as tx:
        lease = {"stage": "data_sent", "lease_until": here.clock.now(), "status": status}
        await tx.run(update(delivery).values(decision=newer, **lease))

    with pytest.raises(NewerDecision, match="layout 99, this version of Waymark knows up to 2"):
        await here.sends().send()

    assert await here.row(id=stored["id"]) == {**stored, **lease, "decision": newer}
    assert not box.mails
