"""How does a delivery leave the house? Claimed in one transaction, talked about outside any, recorded in another.

A crash between loses nothing and repeats nothing that a person would notice: `handlers/sending.py` says what then.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

import structlog

from services.notify.channels.channel import Channel, Delivery, PointOfNoReturn
from services.notify.core.consent import TRANSACTIONAL
from services.notify.filters import tidy
from services.notify.handlers.sending import Became, Claimed, Sending
from services.notify.handlers.writing import Writer
from shared.clock import Clock
from shared.db.protocol import Database

_log = structlog.get_logger(__name__)
_PATIENCE = 8.0
"""How long a stopping process waits for conversations that may be at their last word."""
_BECAME: dict[str, Became] = {
    "accepted": "accepted",
    "opened": "accepted",
    "refused": "refused",
    "later": "later",
    "again": "again",
    "unknown": "unknown",
}


class Lost(Exception):  # noqa: N818  not a failure: somebody else has it now, or the person said no meanwhile
    """It may not be sent any more, found just before the last word: nothing was sent."""


class Sends:
    """Sends what is due. Several may run at once, in one process or many."""

    def __init__(
        self, sending: Sending, writer: Writer, channels: Mapping[str, Channel], database: Database, clock: Clock
    ) -> None:
        self._sending = sending
        self._writer = writer
        self._channels = channels
        self._database = database
        self._clock = clock

    async def send(self) -> int:
        """Take up what was left behind, then send a few: how many deliveries moved."""
        async with self._database.transaction() as tx:
            left = await self._sending.recover(tx, self._clock.now())
        async with self._database.transaction() as tx:
            seen, claimed = await self._sending.claim(tx, self._clock.now())
        if claimed:
            await _together([self._deliver(one) for one in claimed])
        return left + seen

    async def _deliver(self, claimed: Claimed) -> None:
        row = claimed.row
        try:
            receipt = await self._channels[row.channel].send(self._delivery(claimed), self._before(claimed))
        except Lost:
            _log.warning("not_sent_after_all", delivery=row.id)
            return
        async with self._database.transaction() as tx:
            became, now = _BECAME[receipt.outcome], self._clock.now()
            kept = await self._sending.settle(tx, row, became, now, receipt.detail, receipt.reference)
        if not kept:
            _log.warning("settled_by_another", delivery=row.id, outcome=receipt.outcome)

    def _before(self, claimed: Claimed) -> PointOfNoReturn:
        async def before() -> None:
            async with self._database.transaction() as tx:
                may = await self._sending.last_word(tx, claimed.row, self._clock.now())
            if not may:
                raise Lost

        return before

    def _delivery(self, claimed: Claimed) -> Delivery:
        row = claimed.row
        return Delivery(
            id=row.id,
            account=row.account,
            play=row.play,
            step=row.step,
            outreach_class=row.outreach_class,
            subject=row.subject,
            text=row.text,
            html=row.html,
            user=row.user,
            email=claimed.email,
            name=str(tidy(claimed.name)),
            unsubscribe=None if row.outreach_class == TRANSACTIONAL else self._writer.way_out(row.id),
        )


async def _together(work: list[Coroutine[Any, Any, None]]) -> None:
    """All of them to their ends, also while stopping; the first failure is raised after the last has ended."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        _, late = await asyncio.wait(tasks, timeout=_PATIENCE)
        for task in late:
            task.cancel()
        raise
    for task in tasks:
        task.result()
