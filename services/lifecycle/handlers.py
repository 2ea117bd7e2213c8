"""What does lifecycle do when told? Fold each account's events in order, write each account once, publish what was decided."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from services.lifecycle import accounts
from services.lifecycle.accounts import Held, PartOf
from services.lifecycle.core.clock import advance
from services.lifecycle.core.feedback import as_event
from services.lifecycle.core.fold import fold
from services.lifecycle.core.plan import Plan
from services.lifecycle.core.state import begin
from shared.clock import Clock
from shared.contracts.lifecycle import LifecycleMessage
from shared.contracts.topics import LIFECYCLE
from shared.contracts.usage import HISTORY_ENDED, UsageEvent
from shared.db.protocol import Tx
from shared.service.passage import Incoming

GROUP = "lifecycle"
FEEDBACK_GROUP = "lifecycle-feedback"
_AT_ONCE = 5_000
"""Events folded before the others of this process get their turn: some fifty milliseconds."""


class Handlers:
    """Applies one definition. `part_of` gives the partition of `usage.v1` that an account's events are in."""

    def __init__(self, plan: Plan, part_of: PartOf, clock: Clock) -> None:
        self._plan = plan
        self._part_of = part_of
        self._clock = clock
        self.reached: dict[int, datetime] = {}
        """For each partition of `usage.v1` when its latest handled event was received."""

    async def usage(self, tx: Tx, incoming: Incoming) -> None:
        """One batch of `usage.v1`."""
        await self._fold(tx, incoming.messages, lambda _: incoming.part, begins=True)
        self.reached[incoming.part] = incoming.messages[-1].received_at

    async def feedback(self, tx: Tx, incoming: Incoming) -> None:
        """One batch of `outreach.v1` or `advocacy.v1`: only for accounts we know."""
        events = [event for event in map(as_event, incoming.messages) if event is not None]
        await self._fold(tx, events, self._part_of, begins=False)

    async def time(self, tx: Tx, ids: Sequence[str], until: datetime) -> int:
        """What time alone brings to these accounts. How many there were."""
        held = await accounts.locked(tx, ids)
        decided: list[LifecycleMessage] = []
        for account in held.accounts.values():
            decided += advance(account, until, self._plan, self._clock.now())
        await _keep(tx, self._part_of, held, decided)
        return len(held.accounts)

    async def _fold(self, tx: Tx, events: Sequence[UsageEvent], part_of: PartOf, *, begins: bool) -> None:
        now, decided = self._clock.now(), list[LifecycleMessage]()
        held = await accounts.locked(tx, {event.account for event in events})
        known = held.accounts
        for number, event in enumerate(events):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            account = known.get(event.account)
            if account is None:
                if not begins or event.name == HISTORY_ENDED:
                    continue
                account = known[event.account] = begin(event.account, event.at)
            decided += fold(account, event, self._plan, now)
        await _keep(tx, part_of, held, decided)


async def _keep(tx: Tx, part_of: PartOf, held: Held, decided: Sequence[LifecycleMessage]) -> None:
    await accounts.keep(tx, part_of, held, decided)
    tx.emit(LIFECYCLE, decided)
