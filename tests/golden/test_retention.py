"""Retention: what goes with its age, what never does, and that it goes in small batches, on both databases."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import Table, func, select

from services.lifecycle.store import expired_decisions
from services.lifecycle.tables import decision
from services.notify.store import expired_deliveries
from shared.bus.protocol import Partition, Record
from shared.bus.tables import dead_letter
from shared.failures import Parked
from shared.service import dead_letters
from shared.service.dead_letters import InvalidRecord
from shared.service.retention import BATCH, Retention, RetentionPolicy, parked
from shared.settings import Settings
from shared.storage import Storage
from tests.conftest import Deployment
from tests.golden.release import expectation, migrated
from tests.golden.scenario import MOMENT
from tests.journey.services import run_services
from tests.make import NOON, FakeClock, eventually, migrated_storage

DAY = timedelta(days=1)


async def park(opened: Storage, group: str, offsets: Sequence[int], at: datetime = NOON) -> None:
    invalid = [InvalidRecord(Record(offset, -1, 0, b"k", b"v", b""), Parked("no", "bad")) for offset in offsets]
    async with opened.database.transaction() as tx:
        await dead_letters.add(tx, group, Partition("usage.raw.v1", 0), invalid, at)


async def left(opened: Storage, table: Table) -> int:
    async with opened.database.snapshot() as read:
        return int(await read.scalar(select(func.count()).select_from(table)))


async def passes(opened: Storage, policies: Sequence[RetentionPolicy], now: datetime) -> list[int]:
    """The rows that each pass deleted, until there is nothing to do."""
    retention, deleted = Retention(policies, opened.database, FakeClock(now)), []
    while found := await retention.delete_expired():
        deleted.append(found)
    [family] = retention.collect()
    assert sum(sample.value for sample in family.samples) == sum(deleted)
    return deleted


async def test_parked_records_go_after_their_days_and_redriven_ones_sooner(deployment: Deployment) -> None:
    async with migrated_storage(deployment.settings) as opened:
        await park(opened, "ingest", range(5))
        await park(opened, "other", range(5))
        await park(opened, "ingest", [7], NOON + 10 * DAY)
        async with opened.database.snapshot() as read:
            [first, *_] = await dead_letters.list_open(read, "ingest", dead_letters.DeadLetterFilter(), None, 10)
        async with opened.database.transaction() as tx:
            await dead_letters.take(tx, "ingest", [first.id], NOON)
        policies = parked(["ingest"], 400)

        assert await passes(opened, policies, NOON + 29 * DAY) == []
        assert await passes(opened, policies, NOON + 31 * DAY) == [1]
        assert await passes(opened, policies, NOON + 399 * DAY) == []
        assert await passes(opened, policies, NOON + 401 * DAY) == [4]
        assert await left(opened, dead_letter) == 6, "the other group's are another service's, and one is younger"


async def test_many_rows_go_in_small_batches(deployment: Deployment) -> None:
    async with migrated_storage(deployment.settings, "lifecycle") as opened:
        rows = [
            {"account_id": f"a{n}", "seq": n, "kind": "stage_changed", "at": NOON + n % 2 * 40 * DAY, "body": b"{}"}
            for n in range(4 * BATCH)
        ]
        async with opened.database.transaction() as tx:
            await tx.insert(decision, rows)

        assert await passes(opened, expired_decisions(None), NOON + 10_000 * DAY) == []
        assert await passes(opened, expired_decisions(30), NOON + 31 * DAY) == [BATCH, BATCH]
        assert await left(opened, decision) == 2 * BATCH


async def test_a_delivery_guards_against_a_second_sending_for_at_least_400_days() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 400"):
        Settings.model_validate({"keep_deliveries_days": 399})


async def test_deliveries_go_when_they_are_old_and_never_while_they_are_under_way(golden: Settings) -> None:
    await migrated(golden)
    before = expectation("embedded")["/notify/v1/outbox"]
    clock = FakeClock(MOMENT + 801 * DAY)
    async with run_services(golden, ["notify"], clock=FakeClock(MOMENT - DAY)) as on:
        database = on.assembly.contexts["notify"].database
        retention = Retention(expired_deliveries(800), database, FakeClock(MOMENT))
        assert await retention.delete_expired() == 0
        retention = Retention(expired_deliveries(800), database, clock)
        while await retention.delete_expired():
            pass
        after = await on.pages("/notify/v1/outbox", limit=500)
    under_way = {one["id"] for one in before if one["status"] in {"pending", "sending", "opened"}}
    assert under_way
    assert {one["id"] for one in after} >= under_way
    assert not [one for one in after if one["status"] not in {"pending", "sending", "opened"}]


async def test_a_running_service_deletes_what_has_expired_and_counts_it(golden: Settings) -> None:
    await migrated(golden)
    assert expectation("embedded")["/ingest/v1/parked"]
    async with run_services(golden, ["ingest"], clock=FakeClock(MOMENT + 401 * DAY)) as on:

        async def gone() -> bool:
            return await on.pages("/ingest/v1/parked") == []

        await eventually(gone)
        metrics = (await on.http.get("/ingest/metrics")).text
    [deleted] = [
        line for line in metrics.splitlines() if line.startswith('waymark_expired_rows_total{table="dead_letter"}')
    ]
    assert float(deleted.split()[-1]) >= len(expectation("embedded")["/ingest/v1/parked"])
