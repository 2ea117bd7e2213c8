"""Member of a consumer group: reads like aiokafka; records may come before their partition was claimed."""

import asyncio
from collections.abc import Sequence
from functools import partial

from shared.bus.kafka import start_offsets
from shared.bus.protocol import Bounds, Partition, RebalanceListener, RecordBatch
from tests.simulation.cluster import Cluster
from tests.simulation.process import Process

_CUTS = (1, 2, 5, 20, 5000)
_BACK = 6
_SETTLING = 0.4
_LATE = 0.4


class Member:
    """Implements `Reader`."""

    def __init__(
        self, cluster: Cluster, process: Process, group: str, topics: Sequence[str], listener: RebalanceListener
    ) -> None:
        self.process = process
        self.group = group
        self.topics = set(topics)
        self.news = asyncio.Event()
        self.closed = False
        self._cluster = cluster
        self._listener = listener
        self._at: dict[Partition, int] = {}
        self._generation = 0
        self._share: list[Partition] | None = None
        self._error: Exception | None = None
        self._moving: asyncio.Task[None] | None = None

    def told(self, generation: int, share: list[Partition]) -> None:
        """The group was dealt anew."""
        if self.closed or generation < self._generation:
            return
        self._generation, self._share = generation, share
        if self.process.alive and (self._moving is None or self._moving.done()):
            self._moving = self.process.spawn(self._move(), f"{self.group} moves")

    def close(self) -> None:
        self.closed = True
        if self._moving is not None:
            self._moving.cancel()

    async def poll(self, max_records: int, max_wait: float) -> list[RecordBatch]:
        await self.process.gate()
        found = await self._fetched(max_records)
        if not found and self._error is None:
            await self._something(max_wait)
            found = await self._fetched(max_records)
        if self._error is not None:
            failed, self._error = self._error, None
            raise failed
        if found and self._cluster.chance.hits("handed over late", self.process.name):
            await self.process.lag(_LATE)
        return found

    def seek(self, partition: Partition, offset: int) -> None:
        if partition in self._at:
            self._at[partition] = offset

    async def position(self, partition: Partition) -> int | None:
        await self.process.lag()
        return self._at.get(partition)

    async def commit_hint(self, positions: dict[Partition, int]) -> None:
        await self.process.lag()
        if not self._cluster.down and not self._cluster.chance.hits("hint lost", self.process.name):
            self._cluster.hints |= {(self.group, tp): offset for tp, offset in positions.items()}

    async def _something(self, seconds: float) -> None:
        """Until there is news, at most so long."""
        self.news.clear()
        timer = asyncio.get_running_loop().call_later(seconds, self.news.set)
        try:
            await self.news.wait()
        finally:
            timer.cancel()

    def _waiting(self) -> bool:
        return not self._cluster.down and any(at < len(self._cluster.log[tp]) for tp, at in self._at.items())

    async def _fetched(self, limit: int) -> list[RecordBatch]:
        if self._waiting():
            await self.process.lag()
        else:
            await self.process.gate()
        if self._cluster.down:
            return []
        chance, found = self._cluster.chance, []
        for partition, at in list(self._at.items()):
            if at > 0 and chance.hits("read again", self.process.name):
                at = max(0, at - chance.random.randint(1, _BACK))  # noqa: PLW2901  from there
            cut = min(limit, chance.one(_CUTS))
            records = self._cluster.log[partition][at : at + cut]
            if records:
                found.append(RecordBatch(partition, records))
                self._at[partition] = at + len(records)
        return found

    async def _move(self) -> None:
        """Whoever was not done when the others were dealt anew joins again: so the last to claim is the last to own."""
        late = False
        while self._share is not None:
            share, self._share = self._share, None
            generation = self._generation
            await self.process.lag()
            await self._listener.on_revoked(set(self._at))
            early = self._cluster.chance.hits("handed out early", self.process.name)
            self._at = {tp: self._early(tp) for tp in share} if early else {}
            await self.process.lag(_SETTLING)
            await self._claim(share)
            late = late or not self._cluster.current(self.group, generation)
        if late and not self.closed:
            self._cluster.deal(self.group)

    def _early(self, partition: Partition) -> int:
        hint = self._cluster.hints.get((self.group, partition), 0)
        return self._cluster.chance.one((hint, hint, 0, self._cluster.chance.random.randint(0, hint)))

    async def _claim(self, share: list[Partition]) -> None:
        """As our Kafka reader does: what the owner raises, the next poll raises."""
        try:
            starts = await start_offsets(self._listener, partial(self._bounds, share))
        except Exception as error:  # noqa: BLE001  any
            self._error = error
            return
        self._cluster.trace.say("claimed", self.process.name, f"{self.group} {_places(starts)}")
        if self._share is None:
            self._at = {tp: self._at.get(tp, 0) for tp in share}
            for partition, offset in starts.items():
                self.seek(partition, offset)
            self.news.set()

    async def _bounds(self, share: list[Partition]) -> dict[Partition, Bounds]:
        bounds = self._cluster.bounds(sorted(self.topics))
        await self.process.lag()
        return {tp: bounds[tp] for tp in share}


def _places(starts: dict[Partition, int]) -> str:
    return " ".join(f"{tp.topic}[{tp.number}]@{offset}" for tp, offset in sorted(starts.items()))
