"""How much may wait for the log? So many records, so many bytes: beyond, everybody is told to come again."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.bus.gather import Gather, Size
from shared.bus.protocol import Outgoing
from shared.failures import Retry

ONE = Outgoing(b"key", b"x" * 90, b"meta123")


class Log:
    """Takes nothing before it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.taken: list[Outgoing] = []

    async def flush(self, topic: str, records: Sequence[Outgoing]) -> None:  # noqa: ARG002
        await self.may.wait()
        self.taken += records


@pytest.mark.parametrize("most", [Size(5, 10**6), Size(10**6, 500)])
async def test_beyond_its_bounds_nothing_more_may_wait(most: Size) -> None:
    log = Log()
    gather = Gather(log.flush, most)
    waiting = [asyncio.create_task(gather.publish("topic", [ONE])) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Retry):
        await gather.publish("topic", [ONE])
    log.may.set()
    await asyncio.gather(*waiting)
    await gather.publish("topic", [ONE] * 5)
    assert len(log.taken) == 10


async def test_one_body_may_be_larger_than_all_that_may_wait() -> None:
    log = Log()
    log.may.set()
    await Gather(log.flush, Size(2, 150)).publish("topic", [ONE] * 3)
    assert len(log.taken) == 3
