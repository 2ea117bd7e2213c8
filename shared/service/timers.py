"""Timers: process accounts that have fallen due, partition by partition, never ahead of the log."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from shared.bus.protocol import Partition
from shared.clock import Clock
from shared.contracts.topics import Topic
from shared.db.protocol import Database, Read, Tx
from shared.service.consumer import Consumer
from shared.service.ownership import Fenced

_BATCH_SIZE = 500
Due = Callable[[Read, int, datetime, int], Awaitable[Sequence[str]]]
"""Ids of a partition's accounts that are due until then, the longest overdue first, at most so many."""


class TimerHandlers(Protocol):
    """A service's handlers of time. `handled_until`: for each partition, up to when its messages have been handled."""

    @property
    def handled_until(self) -> Mapping[int, datetime]: ...

    async def advance_time(self, tx: Tx, ids: Sequence[str], until: datetime) -> int:
        """Process what is due in these accounts until then; how many accounts changed."""
        ...


class Timers:
    """Fires what is due in the partitions of `topic` that this process owns."""

    def __init__(
        self, consumer: Consumer, topic: Topic, due: Due, handlers: TimerHandlers, database: Database, clock: Clock
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self._due = due
        self._handlers = handlers
        self._database = database
        self._clock = clock
        self._most = _BATCH_SIZE

    async def fire(self) -> int:
        """One pass over the owned partitions: how many accounts changed."""
        owned = [partition for partition in self._consumer.ownership.claims() if partition.topic == self._topic.name]
        return sum([await self._fire(partition) for partition in owned])

    async def _fire(self, partition: Partition) -> int:
        until = self._until(partition.number)
        if until is None:
            return 0
        async with self._database.snapshot() as read:
            ids = await self._due(read, partition.number, until, self._most)
        if not ids or not await self._is_current(partition):
            return 0
        began = asyncio.get_running_loop().time()
        try:
            async with self._consumer.ownership.transaction(partition) as tx:
                changed = await self._handlers.advance_time(tx, ids, until)
        except Fenced:
            return 0
        self._resize(asyncio.get_running_loop().time() - began)
        return changed

    def _resize(self, seconds: float) -> None:
        """Fewer accounts for the next transaction where this one took too long, more where there is time again."""
        if seconds > self._consumer.slice_seconds:
            self._most = max(1, self._most // 2)
        else:
            self._most = min(2 * self._most, _BATCH_SIZE)

    async def _is_current(self, partition: Partition) -> bool:
        """A reader also finds nothing where the log does not answer: so the log is asked for its end."""
        return not self._consumer.idle or await self._consumer.caught_up(partition)

    def _until(self, partition: int) -> datetime | None:
        """Now, when nothing waits in the log; else the time of the last handled message: a consumer that is behind must
        not mistake unread messages for silence. Never later than now: a server whose clock is ahead has stamped messages, too.
        """
        now = self._clock.now()
        handled_until = now if self._consumer.idle else self._handlers.handled_until.get(partition)
        return None if handled_until is None else min(now, handled_until)
