"""Log retention: what is deleted from the embedded log, and what never is."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from shared.bus.embedded import RETENTION, LogRetention
from shared.bus.protocol import ProducerRecord
from shared.bus.tables import log_block
from shared.contracts.topics import USAGE, USAGE_RAW
from shared.service.ownership import advance_cursor, claim_partition
from shared.storage import Storage
from tests.conftest import embedded
from tests.make import NOON, FakeClock, migrated_storage, usage_event


async def topics(opened: Storage) -> list[str]:
    async with opened.database.snapshot() as view:
        return sorted({row.topic for row in await view.all(select(log_block.c.topic))})


async def test_only_what_is_old_and_read_by_every_group_goes_and_the_archive_stays(tmp_path: Path) -> None:
    clock = FakeClock()
    async with migrated_storage(embedded(tmp_path)) as opened:
        await opened.bus.publish(USAGE_RAW.name, [ProducerRecord(b"k", b"v")])
        async with opened.database.transaction() as tx:
            tx.emit(USAGE, [usage_event("1")])
        retention = LogRetention(opened.database, clock)
        bounds = await opened.bus.bounds([USAGE_RAW.name, USAGE.name])
        async with opened.database.transaction() as tx:
            for group in ("fast", "slow"):
                for partition, bound in bounds.items():
                    claim = await claim_partition(tx, group, partition, bound, "me", NOON)
                    if group == "fast":
                        await advance_cursor(tx, group, partition, claim, claim._replace(next_offset=bound.end), NOON)
        clock.move(RETENTION + timedelta(hours=1))
        assert await retention.delete_old_blocks() == 0, "the slow group has not read it"
        async with opened.database.transaction() as tx:
            for partition, bound in bounds.items():
                claim = await claim_partition(tx, "slow", partition, bound, "me", NOON)
                await advance_cursor(tx, "slow", partition, claim, claim._replace(next_offset=bound.end), NOON)
        clock.move(-timedelta(days=7))
        assert await retention.delete_old_blocks() == 0, "it is not old enough"
        clock.move(timedelta(days=7))
        assert await retention.delete_old_blocks() == 1
        assert await topics(opened) == [USAGE.name]
