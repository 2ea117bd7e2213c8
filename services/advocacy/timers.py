"""What does time do besides moving accounts? It lets rewards out of their hold."""

from services.advocacy.core.definitions import Rewards
from services.advocacy.core.ledger import matured
from services.advocacy.store import rewards
from shared.clock import Clock
from shared.db.protocol import Database

_AT_ONCE = 500


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
