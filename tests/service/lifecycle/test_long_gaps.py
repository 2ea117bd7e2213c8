"""An account that is decades behind holds neither its process nor its partition, and however time is cut, the result is the same."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.fold import fold
from services.lifecycle.core.state import begin
from services.lifecycle.handlers import GROUP, Handlers
from services.lifecycle.tables import account, decision
from shared.bus.protocol import Bounds, Partition, Record, RecordBatch
from shared.contracts.topics import USAGE
from shared.contracts.usage import UsageEvent
from shared.db.protocol import Database, Tx
from shared.service.ownership import claim_partition, read_cursor
from shared.service.processor import BatchProcessor
from shared.service.time_slice import TimeSlice
from tests.conftest import embedded
from tests.core.lifecycle.make import DECIDED, START, definition_from, event
from tests.make import FakeClock, migrated_storage

_PARTITION = Partition(USAGE.name, 0)
_ALWAYS_OVER = 1e-9
"""Seconds: a time slice that is over as soon as it is asked a second time."""
DAY = timedelta(days=1)


@pytest.fixture
def compiled(tmp_path: Path) -> CompiledDefinition:
    """A definition that has to be asked about every day, and says something every ten."""
    signals = "".join(f"  of{n}: {{when: ['days >= {n}'], reason: r}}\n" for n in range(10, 800, 10))
    return definition_from(
        tmp_path,
        "events: {use: {match: [used]}}\n"
        "metrics: {days: {kind: formula, cel: 'tenure_days'}}\n"
        "milestones: {}\nstages: {one: {}}\nedges: []\n"
        f"signals:\n{signals}",
    )


class Counting:
    """A database that counts the transactions that were committed."""

    def __init__(self, database: Database) -> None:
        self.committed = 0
        self._database = database

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        async with self._database.transaction() as tx:
            yield tx
        self.committed += 1


class Folded:
    """What these events left behind: states and decisions, and in how many transactions."""

    def __init__(self, states: dict[str, bytes], decisions: list[bytes], transactions: int) -> None:
        self.told = states, decisions
        self.transactions = transactions


async def folded(folder: Path, compiled: CompiledDefinition, events: Sequence[UsageEvent], seconds: float) -> Folded:
    records = [Record(n, n, 0, b"", msgspec.json.encode(one), b"") for n, one in enumerate(events)]
    async with migrated_storage(embedded(folder), "lifecycle") as opened:
        counting = Counting(opened.database)
        handlers = Handlers(compiled, lambda _: 0, FakeClock(DECIDED), seconds)
        processor = BatchProcessor(GROUP, [USAGE], handlers.usage, counting, FakeClock(), None, seconds)  # type: ignore[arg-type]
        async with opened.database.transaction() as tx:
            claim = await claim_partition(tx, GROUP, _PARTITION, Bounds(0, len(records)), "me", DECIDED)
        claim = await processor.process(RecordBatch(_PARTITION, records), claim)
        async with opened.database.snapshot() as read:
            assert await read_cursor(read, GROUP, _PARTITION) == claim
            assert claim.next_offset == len(records)
            states = {row.id: row.state for row in await read.all(select(account.c.id, account.c.state))}
            told = select(decision.c.body).order_by(decision.c.account_id, decision.c.seq)
            return Folded(states, [row.body for row in await read.all(told)], counting.committed)


async def test_a_batch_that_needs_longer_than_its_time_slice_is_cut_and_the_result_is_the_same(
    tmp_path: Path, compiled: CompiledDefinition
) -> None:
    """One account has a gap of 800 days between two events of the batch, all others use the product meanwhile."""
    events = [event("used", START + n * DAY, n, account=f"a{n % 7}") for n in range(40)]
    events.insert(25, event("used", START + 800 * DAY, 100, account="a3"))
    whole = await folded(tmp_path / "whole", compiled, events, math.inf)
    cut = await folded(tmp_path / "cut", compiled, events, _ALWAYS_OVER)
    assert cut.told == whole.told
    assert len(whole.told[1]) > 79
    assert whole.transactions == 1
    assert cut.transactions > 8 + len(events) // 8, "few events at once, and the long gap a hundred midnights at a time"


async def test_a_pass_of_the_timers_that_is_too_long_leaves_the_rest_due(
    tmp_path: Path, compiled: CompiledDefinition
) -> None:
    async with migrated_storage(embedded(tmp_path), "lifecycle") as opened:
        handlers = Handlers(compiled, lambda _: 0, FakeClock(DECIDED), _ALWAYS_OVER)
        processor = BatchProcessor(GROUP, [USAGE], handlers.usage, opened.database, FakeClock(), None)
        records = [
            Record(n, n, 0, b"", msgspec.json.encode(event("used", START, n, account=name)), b"")
            for n, name in enumerate("abc")
        ]
        async with opened.database.transaction() as tx:
            claim = await claim_partition(tx, GROUP, _PARTITION, Bounds(0, len(records)), "me", DECIDED)
        await processor.process(RecordBatch(_PARTITION, records), claim)
        passes, until = 0, START + 150 * DAY
        while True:
            async with opened.database.transaction() as tx:
                if not (due := await handlers.accounts.due(tx, 0, until, 10)):
                    break
                await handlers.advance_time(tx, due, until)
            passes += 1
        assert passes > 3, "no pass does more than one account's hundred midnights"


async def test_a_gap_that_cannot_be_jumped_yields(compiled: CompiledDefinition) -> None:
    handlers, account, turns = Handlers(compiled, lambda _: 0, FakeClock(DECIDED)), begin("acme", START), 0
    fold(account, event("used", START), compiled, DECIDED)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await handlers._advance(account, START + 5000 * DAY, DECIDED, TimeSlice())  # noqa: SLF001
    task.cancel()
    assert account.clock == START + 5000 * DAY
    assert turns >= 40
