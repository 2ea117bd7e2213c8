"""Memory bounds: no more records than asked for, and no more bytes than fit, are in memory at once."""

import asyncio
import random  # noqa: TID251  bytes that no compression makes smaller, seeded
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.bus.outbox import MAX_BYTES, MAX_RECORDS, split
from shared.bus.producer import GroupCommit, Size
from shared.bus.protocol import Partition, ProducerRecord
from shared.bus.tables import READ_BYTES
from shared.contracts.topics import LIFECYCLE, USAGE_RAW
from shared.failures import Retry
from shared.storage import Storage
from tests.conftest import embedded, scaled
from tests.contract.test_log import StartsAt, read
from tests.make import migrated_storage

NOISE = random.Random(7).randbytes(READ_BYTES // 4)  # noqa: S311  no secret
LARGE = [ProducerRecord(b"k", NOISE[n:], b"") for n in range(12)]
"""Three times what may be taken at once."""


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Storage]:
    async with migrated_storage(embedded(tmp_path)) as opened_store:
        yield opened_store


def test_a_block_has_an_end_in_records_and_in_bytes() -> None:
    small, half = ProducerRecord(b"k", b"v"), ProducerRecord(b"", b"x" * (MAX_BYTES // 2))
    assert [len(piece) for piece in split([small] * (2 * MAX_RECORDS + 1))] == [MAX_RECORDS, MAX_RECORDS, 1]
    assert [len(piece) for piece in split([half] * 5)] == [2, 2, 1]
    assert [len(piece) for piece in split([*LARGE[:2], small])] == [1, 1, 1], "one that is too large stands alone"
    assert list(split([])) == []


async def test_a_poll_of_the_embedded_log_takes_no_more_bytes_than_it_may_and_loses_none(opened: Storage) -> None:
    await opened.bus.publish(USAGE_RAW.name, LARGE)
    polled = []
    async with opened.bus.reader("g", [USAGE_RAW.name], StartsAt()) as reader:
        while len(polled) < len(LARGE):
            [batch] = await reader.poll(5000, 0.1)
            assert len(batch.records) <= 5
            polled += batch.records
    assert [record.value for record in polled] == [record.value for record in LARGE]


@pytest.mark.servers
async def test_a_pass_of_the_relay_takes_no_more_bytes_than_it_may_and_loses_none(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with migrated_storage(scaled(request, tmp_path)) as opened_store:
        assert opened_store.relay is not None
        async with opened_store.database.transaction() as tx:
            outbox = opened_store.database._outbox  # type: ignore[attr-defined]  # noqa: SLF001  large records, as no contract of ours makes them
            await outbox.append_records(tx, {Partition(LIFECYCLE.name, 0): LARGE})
        passes = [await opened_store.relay.relay_pending() for _ in range(4)]
        assert passes[-1] == 0
        assert max(passes) <= 5
        assert sum(passes) == len(LARGE)
        found = await read(opened_store.bus, "a", len(LARGE), topic=LIFECYCLE.name)
    assert [record.sequence for record in found] == list(range(len(LARGE)))
    assert [record.value for record in found] == [record.value for record in LARGE]


async def test_what_waits_to_be_written_is_bounded_in_bytes_and_freed_when_it_is_written() -> None:
    gate = asyncio.Event()

    async def flush(_topic: str, _records: list[ProducerRecord]) -> None:
        await gate.wait()

    group_commit = GroupCommit(flush, Size(1000, 100))

    def two() -> list[asyncio.Task[None]]:
        return [asyncio.create_task(group_commit.publish("t", [ProducerRecord(b"k", b"x" * 39)])) for _ in range(2)]

    waiting = two()
    await asyncio.sleep(0)
    with pytest.raises(Retry, match="too much is waiting"):
        await group_commit.publish("t", [ProducerRecord(b"k", b"x" * 39)])
    gate.set()
    await asyncio.gather(*waiting)
    await group_commit.publish("t", [ProducerRecord(b"k", b"x" * 500)])
    await asyncio.gather(*two())
