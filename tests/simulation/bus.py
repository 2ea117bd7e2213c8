"""Fake bus of one process: reaches the cluster as `shared/bus/kafka.py` does, over a line that fails."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from shared.bus.producer import GroupCommit, group_by_partition
from shared.bus.protocol import Bounds, Partition, ProducerRecord, Reader, RebalanceListener
from shared.failures import Retry
from tests.simulation.cluster import Cluster
from tests.simulation.member import Member
from tests.simulation.process import Killed, Process

_TIMEOUT = 3.0


class FakeProducer:
    """What the relay and `publish` send with: whole batches for one partition, in order."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        self._cluster = cluster
        self._process = process

    async def send(
        self, partition: Partition, records: Sequence[ProducerRecord], first_sequence: int | None = None
    ) -> None:
        chance, who = self._cluster.chance, self._process.name
        await self._process.lag()
        if self._cluster.down or chance.hits("publish fails", who):
            await asyncio.sleep(chance.up_to(_TIMEOUT))
            raise Retry(f"no broker acknowledged {partition.topic}")
        if chance.hits("publish in part", who):
            self._cluster.append(partition, records[: chance.random.randrange(len(records))], first_sequence)
            await self._process.lag(_TIMEOUT)
            raise Retry(f"not all of {partition.topic} was acknowledged")
        self._cluster.append(partition, records, first_sequence)
        seq = "" if first_sequence is None else f" from {first_sequence}"
        self._cluster.trace.say("appended", who, f"{partition.topic}[{partition.number}] {len(records)}{seq}")
        if chance.hits("killed while publishing", who):
            self._process.kill()
            raise Killed
        if chance.hits("publish's answer lost", who):
            await self._process.lag(_TIMEOUT)
            raise Retry(f"{partition.topic} was not acknowledged")
        await self._process.lag()


class FakeBus:
    """Implements `Bus`."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        self._cluster = cluster
        self._process = process
        self.producer = FakeProducer(cluster, process)
        self._gather = GroupCommit(self._flush)

    def partitions(self, _topic: str) -> int:
        return self._cluster.parts

    async def publish(self, topic: str, records: Sequence[ProducerRecord]) -> None:
        await self._gather.publish(topic, records)

    @asynccontextmanager
    async def reader(self, group: str, topics: Sequence[str], listener: RebalanceListener) -> AsyncIterator[Reader]:
        await self._process.lag()
        if self._cluster.down:
            raise Retry("no broker answers")
        member = Member(self._cluster, self._process, group, topics, listener)
        self._cluster.join(member)
        try:
            yield member
        finally:
            member.close()
            if self._process.alive:
                self._cluster.leave(member)

    async def bounds(self, topics: Sequence[str]) -> dict[Partition, Bounds]:
        await self._process.lag()
        if self._cluster.down:
            raise Retry("no broker answers")
        return self._cluster.bounds(topics)

    async def retention_problem(self) -> str:
        """None: the cluster keeps everything."""
        return ""

    async def close(self) -> None:
        await self._gather.close()

    async def _flush(self, topic: str, records: list[ProducerRecord]) -> None:
        shares = group_by_partition(records, self._cluster.parts)
        await asyncio.gather(*(self.producer.send(Partition(topic, part), share) for part, share in shares.items()))
