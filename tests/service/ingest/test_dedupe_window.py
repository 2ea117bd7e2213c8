"""The dedupe window: a duplicate is one for at least seven days, whichever day of the week it is, and not for ever."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from services.ingest import store
from services.ingest.tables import dedupe_keys
from shared.bus.tables import dead_letter
from tests.conftest import Deployment
from tests.make import NOON
from tests.make import migrated_storage as store_of
from tests.service.ingest.make import ANN, RunningIngest, facts

DAY = timedelta(days=1)


@pytest.mark.parametrize("day", range(7))
async def test_seven_days_later_it_is_still_a_duplicate(embedded_ingest: RunningIngest, day: int) -> None:
    embedded_ingest.clock.move(day * DAY)
    await embedded_ingest.post(ANN | {"messageId": "1"})
    assert len(await embedded_ingest.published()) == 1
    for _ in range(7):
        embedded_ingest.clock.move(DAY)
        await embedded_ingest.post(ANN | {"messageId": "1"}, ANN | {"messageId": f"at {embedded_ingest.clock.now()}"})
    assert len(await embedded_ingest.published()) == 8


async def test_after_two_weeks_it_is_forgotten(ingest: RunningIngest) -> None:
    await ingest.post(ANN | {"messageId": "1"})
    await ingest.published()
    ingest.clock.move(14 * DAY)
    await ingest.post(ANN | {"messageId": "2"})
    await ingest.published()
    async with ingest.context.database.snapshot() as read:
        kept = [await read.scalar(select(func.count()).select_from(table)) for table in dedupe_keys]
    assert sorted(kept) == [0, 1]


async def test_a_clock_that_goes_back_forgets_nothing(ingest: RunningIngest) -> None:
    await ingest.post(ANN | {"messageId": "1"})
    await ingest.published()
    for step in (-8 * DAY, 8 * DAY, -DAY, 8 * DAY):
        ingest.clock.move(step)
        await ingest.post(ANN | {"messageId": "1"})
        assert len(await ingest.published()) == 1


async def test_old_and_new_keys_mixed_are_told_apart(deployment: Deployment) -> None:
    keys = [n.to_bytes(16, "big") for n in range(1200)]
    async with store_of(deployment.settings) as opened:
        async with opened.database.transaction() as tx:
            await store.rotate_dedupe_window(tx, NOON)
            assert await store.insert_new_keys(tx, keys[:500], 1, NOON) == set(keys[:500])
        async with opened.database.transaction() as tx:
            await store.rotate_dedupe_window(tx, NOON + 7 * DAY)
            assert await store.insert_new_keys(tx, keys[:900], 2, NOON + 7 * DAY) == set(keys[500:900])
        async with opened.database.transaction() as tx:
            assert await store.insert_new_keys(tx, keys, 3, NOON + 7 * DAY) == set(keys[900:])
            assert await store.insert_new_keys(tx, keys, 4, NOON + 7 * DAY) == set()


async def test_what_is_redriven_first_thing_in_a_week_is_remembered(embedded_ingest: RunningIngest) -> None:
    await embedded_ingest.post(ANN | {"messageId": "1", "event": ""})
    (bad,) = await embedded_ingest.parked()
    async with embedded_ingest.context.database.transaction() as tx:
        good = bad["body"].replace('"event":""', '"event":"x"').encode()
        await tx.run(update(dead_letter).where(dead_letter.c.id == bad["id"]).values(value=good))
    embedded_ingest.clock.move(7 * DAY)
    await embedded_ingest.redrive(bad["id"])
    await embedded_ingest.post(ANN | {"messageId": "1"})
    assert facts(await embedded_ingest.published()) == [("1", "acme")]
