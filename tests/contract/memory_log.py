"""In-memory log with readers that misbehave as real ones do: wrong positions, silence, markers, lost records."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from shared.bus.protocol import Bounds, Partition, ProducerRecord, Reader, RebalanceListener, Record, RecordBatch
from shared.contracts.topics import USAGE_RAW

ONLY = Partition(USAGE_RAW.name, 0)


class MemoryBus:
    """One partition of one topic.

    `wrong` is where its readers stand until somebody seeks (None: where the listener says). Once somebody has claimed it,
    it loses what stands before `loses`. From `silent` on its readers hand out nothing; `markers` follow the last record.
    """

    def __init__(
        self,
        offsets: Sequence[int],
        wrong: int | None = None,
        loses: int = 0,
        silent: int | None = None,
        markers: int = 0,
    ) -> None:
        self.silent = silent
        self.markers = markers
        self.asked = 0
        self.records = [Record(offset, -1, 0, b"k", f"w-{offset}".encode(), b"") for offset in offsets]
        self.wrong = wrong
        self.loses = loses
        self.sought: list[int] = []

    def partitions(self, topic: str) -> int:  # noqa: ARG002
        return 1

    async def publish(self, topic: str, records: Sequence[ProducerRecord]) -> None:
        raise NotImplementedError

    @asynccontextmanager
    async def reader(self, group: str, topics: Sequence[str], listener: RebalanceListener) -> AsyncIterator[Reader]:  # noqa: ARG002
        start = (await listener.on_assigned(await self.bounds(topics)))[ONLY]
        self.records = [record for record in self.records if record.offset >= self.loses]
        yield MemoryReader(self, start if self.wrong is None else self.wrong)

    async def bounds(self, topics: Sequence[str]) -> dict[Partition, Bounds]:  # noqa: ARG002
        self.asked += 1
        return {ONLY: Bounds(self.records[0].offset, self.records[-1].offset + 1 + self.markers)}

    async def retention_problem(self) -> str:
        return ""

    async def close(self) -> None: ...


class MemoryReader:
    """Hands out what is at its position or after."""

    def __init__(self, bus: MemoryBus, at: int) -> None:
        self._bus = bus
        self._at = at

    async def poll(self, max_records: int, max_wait: float) -> list[RecordBatch]:  # noqa: ARG002
        before = self._bus.silent
        found = [
            record
            for record in self._bus.records
            if self._at <= record.offset and (before is None or record.offset < before)
        ][:max_records]
        if not found:
            self._at += self._bus.markers if before is None and self._at == self._bus.records[-1].offset + 1 else 0
            await asyncio.sleep(0.01)
            return []
        self._at = found[-1].offset + 1
        return [RecordBatch(ONLY, found)]

    def seek(self, partition: Partition, offset: int) -> None:  # noqa: ARG002
        self._bus.sought.append(offset)
        self._at = offset

    async def position(self, partition: Partition) -> int | None:  # noqa: ARG002
        return self._at

    async def commit_hint(self, positions: dict[Partition, int]) -> None: ...
