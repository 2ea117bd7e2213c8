"""Group commit: the number and bytes of pending records are bounded; beyond, publishers are told to retry later."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.bus.producer import GroupCommit, Size
from shared.bus.protocol import ProducerRecord
from shared.failures import Retry

ONE = ProducerRecord(b"key", b"x" * 90, b"meta123")


class Log:
    """Takes nothing before it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.taken: list[ProducerRecord] = []

    async def flush(self, topic: str, records: Sequence[ProducerRecord]) -> None:  # noqa: ARG002
        await self.may.wait()
        self.taken += records


@pytest.mark.parametrize("most", [Size(5, 10**6), Size(10**6, 500)])
async def test_beyond_its_bounds_nothing_more_may_wait(most: Size) -> None:
    log = Log()
    group_commit = GroupCommit(log.flush, most)
    waiting = [asyncio.create_task(group_commit.publish("topic", [ONE])) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Retry):
        await group_commit.publish("topic", [ONE])
    log.may.set()
    await asyncio.gather(*waiting)
    await group_commit.publish("topic", [ONE] * 5)
    assert len(log.taken) == 10


async def test_one_body_may_be_larger_than_all_that_may_wait() -> None:
    log = Log()
    log.may.set()
    await GroupCommit(log.flush, Size(2, 150)).publish("topic", [ONE] * 3)
    assert len(log.taken) == 3
