"""What does time do? Surveys fall due on their day, asks become possible, rewards ripen; never ahead of the log."""

from datetime import datetime

from services.advocacy.core.definitions import Rewards
from services.advocacy.core.ledger import matured
from services.advocacy.handlers import Handlers
from services.advocacy.store import accounts, rewards
from shared.bus.protocol import Partition
from shared.clock import Clock
from shared.contracts.topics import LIFECYCLE
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
        """One look at every owned partition of `lifecycle.v1`: how many accounts moved."""
        ours = [one for one in self._passage.claims.held() if one.topic == LIFECYCLE.name]
        return sum([await self._fire(partition) for partition in ours])

    async def _fire(self, partition: Partition) -> int:
        until = self._until(partition.part)
        if until is None:
            return 0
        async with self._database.snapshot() as read:
            ids = await accounts.due(read, partition.part, until, _AT_ONCE)
        if not ids:
            return 0
        try:
            async with self._passage.claims.turn(partition) as tx:
                return await self._handlers.time(tx, ids, until)
        except Fenced:
            return 0

    def _until(self, part: int) -> datetime | None:
        """Now, when nothing waits in the log; else when the latest handled message was decided: a reader that is behind
        must not take waiting messages for silence.
        """
        return self._clock.now() if self._passage.idle else self._handlers.reached.get(part)


class Ripening:
    """Lets rewards out of their hold. Any process may: each row is locked, and left to whoever has it in hand."""

    def __init__(self, rules: Rewards, database: Database, clock: Clock) -> None:
        self._rules = rules
        self._database = database
        self._clock = clock

    async def fire(self) -> int:
        """One look: how many moves were made."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            ripe = await rewards.ripe(tx, now, _AT_ONCE, automatic=self._rules.review == "automatic")
            moves = [move for reward in ripe for move in matured(reward, now, self._rules)]
            await rewards.book(tx, moves)
        return len(moves)
