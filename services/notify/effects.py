"""How does a delivery leave the house? Claimed in one transaction, talked about outside any, recorded in another.

A crash between loses nothing and repeats nothing that a person would notice: `handlers/sending.py` says what then.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from services.notify.channels.channel import Channel, Delivery, PointOfNoReturn
from services.notify.core.consent import TRANSACTIONAL
from services.notify.filters import tidy
from services.notify.handlers.sending import Became, Claimed, Sending
from services.notify.handlers.writing import Writer
from services.notify.store import deliveries
from shared.clock import Clock
from shared.db.protocol import Database

_log = structlog.get_logger(__name__)
_PATIENCE, _NOTICE = 5.0, 0.5
"""Seconds: a stopping process lets those at their last word go on for so long, and who was cut off hang up."""
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


@dataclass
class Talk:
    """One conversation. From its last word on, what was said may have been accepted."""

    claimed: Claimed
    at_last_word: bool = False
    task: asyncio.Task[None] | None = None


class Sends:
    """Sends what is due. Several may run at once, in one process or many."""

    def __init__(
        self,
        sending: Sending,
        writer: Writer,
        channels: Mapping[str, Channel],
        database: Database,
        clock: Clock,
        patience: float = _PATIENCE,
    ) -> None:
        self._sending = sending
        self._writer = writer
        self._channels = channels
        self._database = database
        self._clock = clock
        self._patience = patience

    async def send(self) -> int:
        """Take up what was left behind, then send a few: how many deliveries moved."""
        async with self._database.transaction() as tx:
            left = await self._sending.recover(tx, self._clock.now())
        talks: list[Talk] = []
        try:
            async with self._database.transaction() as tx:
                seen, claimed = await self._sending.claim(tx, self._clock.now())
                talks = [Talk(one) for one in claimed]
            await self._together(talks)
        except asyncio.CancelledError:
            await self._give_back([talk for talk in talks if talk.task is None or talk.task.done()])
            raise
        return left + seen

    async def _together(self, talks: list[Talk]) -> None:
        """All of them to their ends; the first failure is raised after the last has ended."""
        for talk in talks:
            talk.task = asyncio.create_task(self._deliver(talk))
        tasks = [talk.task for talk in talks if talk.task is not None]
        try:
            await _ended(tasks)
        except asyncio.CancelledError:
            for talk in talks:
                if talk.task is not None and not talk.at_last_word:
                    talk.task.cancel()
            await _cut_off(tasks, self._patience)
            raise
        for task in tasks:
            task.result()

    async def _give_back(self, talks: list[Talk]) -> None:
        """What was settled is not ours any more, and stays as it is."""
        async with self._database.transaction() as tx:
            for talk in talks:
                await deliveries.give_back(tx, talk.claimed.row, self._clock.now())

    async def _deliver(self, talk: Talk) -> None:
        row = talk.claimed.row
        try:
            receipt = await self._channels[row.channel].send(self._delivery(talk.claimed), self._before(talk))
        except Lost:
            _log.warning("not_sent_after_all", delivery=row.id)
            return
        async with self._database.transaction() as tx:
            became, now = _BECAME[receipt.outcome], self._clock.now()
            kept = await self._sending.settle(tx, row, became, now, receipt.detail, receipt.reference)
        if not kept:
            _log.warning("settled_by_another", delivery=row.id, outcome=receipt.outcome)

    def _before(self, talk: Talk) -> PointOfNoReturn:
        async def before() -> None:
            talk.at_last_word = True
            async with self._database.transaction() as tx:
                may = await self._sending.last_word(tx, talk.claimed.row, self._clock.now())
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


async def _ended(tasks: list[asyncio.Task[None]], seconds: float | None = None) -> set[asyncio.Task[None]]:
    """Wait for them; those that did not end."""
    return (await asyncio.wait(tasks, timeout=seconds))[1] if tasks else set()


async def _cut_off(tasks: list[asyncio.Task[None]], patience: float) -> None:
    for task in await _ended(tasks, patience):
        task.cancel()
    late = await _ended(tasks, _NOTICE)
    _log.warning("conversations_cut_off", cut=sum(task.cancelled() for task in tasks), still_talking=len(late))
