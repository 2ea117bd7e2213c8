"""What becomes of old rows of the embedded log? Those that every reader has passed go, except the archive."""

from datetime import timedelta

from sqlalchemy import Row, delete, func, select

from shared.bus.tables import consumer_cursor, log_block
from shared.clock import Clock
from shared.contracts.topics import USAGE
from shared.db.protocol import Database

KEPT = timedelta(days=7)


class Upkeep:
    """Deletes blocks older than a week that no group still has to read."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def tidy(self) -> int:
        """One pass: the number of blocks that went."""
        cursor = consumer_cursor.c
        passed = select(cursor.topic, cursor.part, func.min(cursor.next_off).label("floor"))
        async with self._database.snapshot() as read:
            floors = await read.all(passed.where(cursor.topic != USAGE.name).group_by(cursor.topic, cursor.part))
        return sum([await self._tidy(row) for row in floors])

    async def _tidy(self, row: Row[tuple[str, int, int]]) -> int:
        block = log_block.c
        old = (block.topic == row.topic, block.part == row.part, block.appended_at < self._clock.now() - KEPT)
        async with self._database.transaction() as tx:
            return await tx.run(delete(log_block).where(*old, block.base_off + block.count <= row.floor))
