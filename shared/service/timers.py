"""What does time do? It moves accounts that have fallen due, partition by partition, never ahead of the log."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from shared.bus.protocol import Partition
from shared.clock import Clock
from shared.contracts.topics import Topic
from shared.db.protocol import Database, Read, Tx
from shared.service.claims import Fenced
from shared.service.passage import Passage

_AT_ONCE = 500
Due = Callable[[Read, int, datetime, int], Awaitable[Sequence[str]]]
"""Accounts of a partition for which time has something to do until then, the longest overdue first, at most so many."""


class Moved(Protocol):
    """What a service does when time passes. `reached`: for each partition, up to when its messages have been handled."""

    @property
    def reached(self) -> Mapping[int, datetime]: ...

    async def time(self, tx: Tx, ids: Sequence[str], until: datetime) -> int: ...


class Timers:
    """Fires what is due in the partitions of `topic` that this process owns."""

    def __init__(
        self, passage: Passage, topic: Topic, due: Due, handlers: Moved, database: Database, clock: Clock
    ) -> None:
        self._passage = passage
        self._topic = topic
        self._due = due
        self._handlers = handlers
        self._database = database
        self._clock = clock

    async def fire(self) -> int:
        """One look at every owned partition: how many accounts moved."""
        owned = [partition for partition in self._passage.claims.held() if partition.topic == self._topic.name]
        return sum([await self._fire(partition) for partition in owned])

    async def _fire(self, partition: Partition) -> int:
        until = self._until(partition.part)
        if until is None:
            return 0
        async with self._database.snapshot() as read:
            ids = await self._due(read, partition.part, until, _AT_ONCE)
        if not ids or not await self._sure(partition):
            return 0
        try:
            async with self._passage.claims.turn(partition) as tx:
                return await self._handlers.time(tx, ids, until)
        except Fenced:
            return 0

    async def _sure(self, partition: Partition) -> bool:
        """A reader also finds nothing where the log does not answer: only the log's own word makes that silence."""
        return not self._passage.idle or await self._passage.caught_up(partition)

    def _until(self, part: int) -> datetime | None:
        """Now, when nothing waits in the log; else the time its handled messages have reached: a reader that is behind
        must not take waiting messages for silence.
        """
        return self._clock.now() if self._passage.idle else self._handlers.reached.get(part)
