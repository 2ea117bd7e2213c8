"""Fake Kafka cluster, as far as the product depends on it: ordered partitions, rebalanced groups, and outages."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.bus.protocol import Bounds, Partition, ProducerRecord, Record
from tests.simulation.chance import Chance
from tests.simulation.clock import Clock
from tests.simulation.process import Process
from tests.simulation.trace import Trace

if TYPE_CHECKING:
    from tests.simulation.member import Member

_HEARD = 0.3
_HEARD_LATE = 4.0


class Cluster:
    """Topics and groups. `down`: no broker answers."""

    def __init__(self, topics: Sequence[str], parts: int, chance: Chance, trace: Trace, clock: Clock) -> None:
        self.parts = parts
        self.down = False
        self.log: dict[Partition, list[Record]] = {Partition(t, p): [] for t in topics for p in range(parts)}
        self.hints: dict[tuple[str, Partition], int] = {}
        self.chance = chance
        self.trace = trace
        self._clock = clock
        self._groups: dict[str, list[Member]] = {}
        self._generations: Counter[str] = Counter()

    def append(self, partition: Partition, records: Sequence[ProducerRecord], first_sequence: int | None) -> None:
        log, now = self.log[partition], int(self._clock.now().timestamp() * 1000)
        for place, (key, value, meta) in enumerate(records):
            seq = -1 if first_sequence is None else first_sequence + place
            log.append(Record(len(log), seq, now, key, value, meta))
        for members in self._groups.values():
            for member in members:
                member.news.set()

    def bounds(self, topics: Sequence[str]) -> dict[Partition, Bounds]:
        return {tp: Bounds(0, len(log)) for tp, log in self.log.items() if tp.topic in topics}

    def join(self, member: "Member") -> None:
        self._groups.setdefault(member.group, []).append(member)
        self.deal(member.group)

    def leave(self, member: "Member") -> None:
        members = self._groups[member.group]
        if member in members:
            members.remove(member)
            self.deal(member.group)

    def expel(self, process: Process) -> "list[Member]":
        """Its session is over: others get its partitions. It does not know."""
        gone = [one for members in self._groups.values() for one in members if one.process is process]
        for member in gone:
            self.leave(member)
        return gone

    def current(self, group: str, generation: int) -> bool:
        return self._generations[group] == generation

    def groups(self) -> list[str]:
        return sorted(name for name, members in self._groups.items() if members)

    def deal(self, group: str) -> None:
        """Every partition to one member; each hears of it in its own time."""
        members = self._groups[group]
        if not members:
            return
        self._generations[group] += 1
        generation = self._generations[group]
        wanted = [tp for tp in self.log if tp.topic in members[0].topics]
        self.chance.random.shuffle(wanted)
        self.trace.say("dealt", group, ", ".join(member.process.name for member in members))
        for place, member in enumerate(members):
            share = sorted(wanted[place :: len(members)])
            late = self.chance.hits("two owners", member.process.name)
            delay = self.chance.up_to(_HEARD_LATE if late else _HEARD)
            asyncio.get_running_loop().call_later(delay, member.told, generation, share)
