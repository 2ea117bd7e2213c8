"""For how long is a duplicate one? At least seven days, whichever day of the week it is, and not for ever."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from services.ingest import store
from services.ingest.tables import dedupe_keys
from shared.bus.tables import dead_letter
from tests.conftest import Deployment
from tests.make import NOON
from tests.make import migrated_storage as store_of
from tests.service.ingest.make import ANN, Site, facts

DAY = timedelta(days=1)


@pytest.mark.parametrize("day", range(7))
async def test_seven_days_later_it_is_still_a_duplicate(door: Site, day: int) -> None:
    door.clock.move(day * DAY)
    await door.post(ANN | {"messageId": "1"})
    assert len(await door.published()) == 1
    for _ in range(7):
        door.clock.move(DAY)
        await door.post(ANN | {"messageId": "1"}, ANN | {"messageId": f"at {door.clock.now()}"})
    assert len(await door.published()) == 8


async def test_after_two_weeks_it_is_forgotten(site: Site) -> None:
    await site.post(ANN | {"messageId": "1"})
    await site.published()
    site.clock.move(14 * DAY)
    await site.post(ANN | {"messageId": "2"})
    await site.published()
    async with site.context.database.snapshot() as read:
        kept = [await read.scalar(select(func.count()).select_from(table)) for table in dedupe_keys]
    assert sorted(kept) == [0, 1]


async def test_a_clock_that_goes_back_forgets_nothing(site: Site) -> None:
    await site.post(ANN | {"messageId": "1"})
    await site.published()
    for step in (-8 * DAY, 8 * DAY, -DAY, 8 * DAY):
        site.clock.move(step)
        await site.post(ANN | {"messageId": "1"})
        assert len(await site.published()) == 1


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


async def test_what_is_redriven_first_thing_in_a_week_is_remembered(door: Site) -> None:
    await door.post(ANN | {"messageId": "1", "event": ""})
    (bad,) = await door.parked()
    async with door.context.database.transaction() as tx:
        good = bad["body"].replace('"event":""', '"event":"x"').encode()
        await tx.run(update(dead_letter).where(dead_letter.c.id == bad["id"]).values(value=good))
    door.clock.move(7 * DAY)
    await door.redrive(bad["id"])
    await door.post(ANN | {"messageId": "1"})
    assert facts(await door.published()) == [("1", "acme")]
