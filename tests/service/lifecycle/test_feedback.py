"""Feedback in the database: kept for accounts that have not begun, taken by the timers, and a reason to wake an account."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from sqlalchemy import func, select

from services.lifecycle.core.feedback import SETTLED_AFTER
from services.lifecycle.core.state import Account
from services.lifecycle.handlers import Handlers
from services.lifecycle.store import expired_early_feedback, is_early_feedback_due
from services.lifecycle.tables import decision, early_feedback
from shared.contracts.advocacy import ReferralConverted
from shared.contracts.topics import ADVOCACY, USAGE
from shared.contracts.usage import HISTORY_ENDED, UsageEvent
from shared.service.processor import MessageBatch
from shared.service.retention import Retention
from shared.storage import Storage
from tests.conftest import Deployment
from tests.core.lifecycle.make import START, definition_from, event
from tests.make import FakeClock, migrated_storage

DAY = timedelta(days=1)
DEFINITION = (
    "events: {use: {match: [used]}, referral: {match: [referral_converted]}}\n"
    "metrics: {referrals: {kind: count, of: referral, days: 28}}\n"
    "milestones: {first_referral: {of: referral}}\nstages: {one: {}}\nedges: []\nfacts: [referral]\n"
)


class Lifecycle(NamedTuple):
    """The handlers over a store, under a clock that stands."""

    handlers: Handlers
    stored: Storage
    clock: FakeClock

    async def use(self, *events: UsageEvent) -> None:
        async with self.stored.database.transaction() as tx:
            await self.handlers.usage(tx, MessageBatch(USAGE, 0, 0, events))

    async def say(self, at: datetime, *, history: bool = False) -> None:
        told = ReferralConverted(
            id=f"said-{at.isoformat()}",
            account="acme",
            at=at,
            decided_at=self.clock.now(),
            history=history,
            user="ann",
            referred_account="other",
            code="ANN",
        )
        async with self.stored.database.transaction() as tx:
            await self.handlers.feedback(tx, MessageBatch(ADVOCACY, 0, 0, [told]))

    async def early(self) -> int:
        async with self.stored.database.snapshot() as read:
            is_due = await is_early_feedback_due(read)
        async with self.stored.database.transaction() as tx:
            taken = await self.handlers.take_early(tx)
        assert is_due == (taken > 0)
        return taken

    async def kept(self) -> int:
        async with self.stored.database.snapshot() as read:
            return int(await read.scalar(select(func.count()).select_from(early_feedback)))

    async def tick(self) -> list[str]:
        """A pass of the timers; who was due."""
        async with self.stored.database.transaction() as tx:
            due = await self.handlers.accounts.due(tx, 0, self.clock.now(), 10)
            assert await self.handlers.accounts.count_due(tx, self.clock.now()) == len(due)
            await self.handlers.advance_time(tx, due, self.clock.now())
        return due

    async def account(self) -> Account:
        async with self.stored.database.snapshot() as read:
            found = await self.handlers.accounts.load(read, "acme")
        assert found is not None
        return found

    async def decided(self, kind: str) -> list[datetime]:
        c = decision.c
        async with self.stored.database.snapshot() as read:
            rows = await read.all(select(c.body).where(c.kind == kind).order_by(c.seq))
        return [datetime.fromisoformat(msgspec.json.decode(row.body)["at"]) for row in rows]


@pytest.fixture
async def lifecycle(deployment: Deployment, tmp_path: Path) -> AsyncIterator[Lifecycle]:
    (tmp_path / "definition").mkdir()
    compiled, clock = definition_from(tmp_path / "definition", DEFINITION), FakeClock(START + 20 * DAY)
    async with migrated_storage(deployment.settings, "lifecycle") as stored:
        yield Lifecycle(Handlers(compiled, lambda _: 0, clock), stored, clock)


async def test_what_is_said_of_an_account_before_it_begins_is_kept_for_it(lifecycle: Lifecycle) -> None:
    await lifecycle.say(START + 2 * DAY)
    assert await lifecycle.early() == 0
    assert await lifecycle.kept() == 1
    await lifecycle.use(event("used", START))
    assert await lifecycle.early() == 1
    assert await lifecycle.kept() == 0
    assert await lifecycle.decided("milestone_reached") == [], "its clock is not there yet"
    await lifecycle.use(event("used", START + 3 * DAY, 1))
    assert await lifecycle.decided("milestone_reached") == [START + 2 * DAY]
    assert (await lifecycle.account()).first_seen == START


async def test_what_is_said_of_nobody_goes_after_a_while(lifecycle: Lifecycle) -> None:
    await lifecycle.say(START + 2 * DAY)
    retention = Retention([expired_early_feedback()], lifecycle.stored.database, lifecycle.clock)
    lifecycle.clock.move(29 * DAY)
    assert await retention.delete_expired() == 0
    lifecycle.clock.move(2 * DAY)
    assert await retention.delete_expired() == 1
    assert await lifecycle.kept() == 0


async def test_a_sleeping_account_takes_it_by_its_timer_and_nothing_else_moved_its_clock(lifecycle: Lifecycle) -> None:
    await lifecycle.use(event("used", lifecycle.clock.now()))
    said = lifecycle.clock.now() + timedelta(hours=2)
    await lifecycle.say(said)
    assert (await lifecycle.account()).clock == START + 20 * DAY
    assert await lifecycle.tick() == []
    lifecycle.clock.move(timedelta(hours=2))
    assert await lifecycle.tick() == ["acme"]
    assert await lifecycle.decided("milestone_reached") == [said]
    assert await lifecycle.tick() == []


async def test_what_is_said_of_its_history_settles_when_that_is_over(lifecycle: Lifecycle) -> None:
    await lifecycle.use(event("used", START, history="import"))
    await lifecycle.say(START + 15 * DAY, history=True)
    await lifecycle.use(event("used", START + 10 * DAY, 1, history="import"))
    assert await lifecycle.tick() == []
    account = await lifecycle.account()
    assert (account.clock, account.replaying) == (START + 10 * DAY, True)
    ended = event(HISTORY_ENDED, START + 18 * DAY, 2, history="import", properties={"live": False})
    await lifecycle.use(ended)
    assert await lifecycle.tick() == []
    lifecycle.clock.move(SETTLED_AFTER)
    assert await lifecycle.tick() == ["acme"]
    assert await lifecycle.decided("milestone_reached") == [START + 18 * DAY]
    assert (await lifecycle.account()).clock == START + 18 * DAY, "history holds it still"
    assert await lifecycle.tick() == []
