"""What waits in vain: messages and requests for which what they wait for does not come, and what is done then.

A request waits for a message of lifecycle, which was in the log before it; a message of a history waits for advocacy's word
that it has followed. The message may have been parked, advocacy may be down, of an earlier version, or not run at all.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

import structlog

from services.notify.handlers.planning import PlanningHandlers
from services.notify.waiting import Patience, count_in_vain, in_vain
from shared.db.protocol import Read, Tx

_log = structlog.get_logger(__name__)


class WaitsInVain:
    """Handlers of time for what waits: as `shared/service/timers.py` wants them, which never runs ahead of the log."""

    def __init__(self, planning: PlanningHandlers, patience: Patience, grace: float = 0) -> None:
        """While advocacy speaks, what waits in vain waits `grace` seconds more from when it is seen: all of us may have been stopped for days."""
        self._planning = planning
        self._patience = patience
        self._grace = grace
        self._seen: dict[int, dict[str, float]] = {}
        """For each partition the accounts for which something waits in vain, and when that was first seen."""

    @property
    def handled_until(self) -> Mapping[int, datetime]:
        return self._planning.handled_until

    async def due(self, read: Read, partition: int, until: datetime, limit: int) -> Sequence[str]:
        """Ids of accounts for which something waits in vain by now."""
        if self._patience.is_over:  # measured in running time as it is
            return await in_vain(read, partition, until, limit, everything=True)
        ids = await in_vain(read, partition, until, limit, everything=False)
        now, before = asyncio.get_running_loop().time(), self._seen.get(partition, {})
        self._seen[partition] = {account: before.get(account, now) for account in ids}
        return [account for account, since in self._seen[partition].items() if now - since >= self._grace]

    async def count_due(self, read: Read, until: datetime) -> int:
        """How many such accounts there are, once all of the log is read."""
        return await count_in_vain(read, until, everything=self._patience.is_over)

    async def advance_time(self, tx: Tx, ids: Sequence[str], until: datetime) -> int:
        """Take what waits for them as it stands. How many there were."""
        _log.warning(
            "waited_in_vain", accounts=len(ids), until=until.isoformat(), advocacy_silent=self._patience.is_over
        )
        return await self._planning.take_waiting(tx, ids)
