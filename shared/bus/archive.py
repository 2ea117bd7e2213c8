"""Archive: the records that services published, by their places in their producers' own logs, read from the outboxes.

An outbox is the same whatever carries it: what a relay sent to Kafka twice stands here once.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import bindparam, func, select

from shared.bus.outbox import decode_block
from shared.bus.protocol import Partition, ProducerRecord
from shared.bus.tables import log_block
from shared.db.protocol import Database

_b = log_block.c
_IN_PARTITION = (_b.topic == bindparam("in_topic"), _b.partition == bindparam("in_partition"))
_CONTAINING = (
    select(func.max(_b.base_offset)).where(*_IN_PARTITION, _b.base_offset <= bindparam("start")).scalar_subquery()
)
_AHEAD = 20
"""Blocks read at once: who asks for one range asks for the next one after it."""
_BLOCKS = (
    select(_b.base_offset, _b.block)
    .where(*_IN_PARTITION, _b.base_offset >= func.coalesce(_CONTAINING, 0))
    .order_by(_b.base_offset)
    .limit(_AHEAD)
)


class Gone(LookupError):  # noqa: N818  as LookupError says what it is
    """Records that should be in the archive are not there."""


class _Window(NamedTuple):
    """Consecutive records of a partition from `start` on, as far as they were read."""

    start: int
    records: list[ProducerRecord]

    @property
    def end(self) -> int:
        return self.start + len(self.records)


class Archive:
    """Reads ranges. `databases` are those of the services that publish: topic -> database."""

    def __init__(self, databases: Mapping[str, Database]) -> None:
        self._databases = databases
        self._windows: dict[Partition, _Window] = {}

    async def records(self, partition: Partition, first: int, end: int) -> list[ProducerRecord]:
        """Those from `first` to before `end`. Raises Gone where one of them is not kept any more."""
        window = self._windows.get(partition)
        if window is None or not window.start <= first < window.end:
            window = await self._read(partition, first)
        elif window.end < end:
            window = _Window(first, window.records[first - window.start :])
        while window.end < end:
            more = await self._read(partition, window.end)
            window = _Window(window.start, window.records + more.records)
        self._windows[partition] = window
        return window.records[first - window.start : end - window.start]

    async def _read(self, partition: Partition, first: int) -> _Window:
        """As many as are read at once, from `first` or before it."""
        values = {"in_topic": partition.topic, "in_partition": partition.number, "start": first}
        async with self._databases[partition.topic].snapshot() as read:
            blocks = await read.all(_BLOCKS, values)
        records: list[ProducerRecord] = []
        start = blocks[0].base_offset if blocks else first
        for row in blocks:
            if row.base_offset != start + len(records):
                break
            records += decode_block(row.block)
        if not start <= first < start + len(records):
            raise Gone(f"{partition.topic}[{partition.number}] has no record {first} in the archive")
        return _Window(first, records[first - start :])
