"""What does time do? It moves accounts whose next midnight has come, partition by partition, never ahead of the log."""

from datetime import datetime

from services.lifecycle import store
from services.lifecycle.handlers import Handlers
from shared.bus.protocol import Partition
from shared.clock import Clock
from shared.db.protocol import Database
from shared.service.claims import Fenced
from shared.service.passage import Passage

_AT_ONCE = 500


class Timers:
    """Fires what is due in the partitions that this process owns."""

    def __init__(self, passage: Passage, handlers: Handlers, database: Database, clock: Clock) -> None:
        self._passage = passage
        self._handlers = handlers
        self._database = database
        self._clock = clock

    async def fire(self) -> int:
        """One look at every owned partition: how many accounts moved."""
        return sum([await self._fire(partition) for partition in self._passage.claims.held()])

    async def _fire(self, partition: Partition) -> int:
        until = self._until(partition.part)
        if until is None:
            return 0
        async with self._database.snapshot() as read:
            ids = await store.due(read, partition.part, until, _AT_ONCE)
        if not ids:
            return 0
        try:
            async with self._passage.claims.turn(partition) as tx:
                return await self._handlers.time(tx, ids, until)
        except Fenced:
            return 0

    def _until(self, part: int) -> datetime | None:
        """Now, when nothing waits in the log; else when the latest handled event was received: a reader that is behind
        must not take waiting events for silence.
        """
        return self._clock.now() if self._passage.idle else self._handlers.reached.get(part)
