"""Delivery sender: claims what is due, talks to the channels outside any transaction, and records each outcome.

A crash between loses nothing and repeats nothing that a person would notice: `handlers/delivery.py` recovers what was left
behind. Whatever goes wrong with one delivery, the others are sent; only where the database fails does everything wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import structlog

from services.notify import store
from services.notify.channels.channel import ConfirmSend, Delivery, Receipt, Sender
from services.notify.core.channels import Circuit
from services.notify.core.state import TRANSACTIONAL
from services.notify.handlers.delivery import AT_ONCE, Claim, DeliveryHandlers
from services.notify.handlers.planning import MessageWriter
from services.notify.store import DeliveryRecord
from shared.clock import Clock
from shared.db.errors import is_infrastructure
from shared.db.protocol import Database, Tx
from shared.failures import Halted
from shared.names import greeting_name, person_name

T = TypeVar("T")
_log = structlog.get_logger(__name__)
_PATIENCE, _CLOSE_TIMEOUT = 5.0, 0.5
"""Seconds: a stopping process lets confirmed conversations go on for so long, and those cut off then close."""


class NotConfirmed(Exception):  # noqa: N818  not a failure: another sender has it now, or the person declined meanwhile
    """It may not be sent any more, found at the point of no return: nothing was sent."""


@dataclass
class SendAttempt:
    """One conversation. Once confirmation is asked for, the message may be accepted. `database_error` ended the question."""

    claim: Claim
    confirming: bool = False
    database_error: Exception | None = None
    task: asyncio.Task[None] | None = None


class DeliverySender:
    """Sends what is due. Several may run at once, in one process or many."""

    def __init__(
        self,
        handlers: DeliveryHandlers,
        writer: MessageWriter,
        senders: Mapping[str, Sender],
        database: Database,
        clock: Clock,
        patience: float = _PATIENCE,
    ) -> None:
        self._handlers = handlers
        self._writer = writer
        self._senders = senders
        self._database = database
        self._clock = clock
        self._patience = patience
        self._circuits = {name: Circuit() for name in senders}
        self.problems: dict[str, str] = {}
        """Channel -> why its latest attempt has to be repeated; a channel that takes messages has none."""

    async def send(self) -> int:
        """Recover what was left behind, then send a few: how many deliveries were handled."""
        recovered = await self._recover()
        attempts: list[SendAttempt] = []
        try:
            try:
                due = await self._claim(attempts)
            except Exception:  # the database failed: what is claimed already is sent all the same
                await self._converse(attempts)
                raise
            await self._converse(attempts)
        except asyncio.CancelledError:
            await self._give_back([one for one in attempts if one.task is None or one.task.done()])
            raise
        return recovered + due

    async def _recover(self) -> int:
        async with self._database.snapshot() as read:
            stranded = await self._handlers.stranded(read, self._clock.now())
        for delivery_id in stranded:
            await self._each(delivery_id, self._recover_one)
        return len(stranded)

    async def _recover_one(self, tx: Tx, delivery_id: str) -> None:
        await self._handlers.recover(tx, delivery_id, self._clock.now())

    async def _claim(self, attempts: list[SendAttempt]) -> int:
        async with self._database.snapshot() as read:
            now = self._clock.now()
            room = {name: circuit.may_try(now, AT_ONCE) for name, circuit in self._circuits.items()}
            due = await self._handlers.due(read, now, room)

        async def claim(tx: Tx, delivery_id: str) -> Claim | None:
            return await self._handlers.claim(tx, delivery_id, self._clock.now())

        for delivery_id in due:
            claimed = await self._each(delivery_id, claim)
            if claimed is not None:  # committed: a claim that was rolled back has the epoch of the next one
                attempts.append(SendAttempt(claimed))
        return len(due)

    async def _each(self, delivery_id: str, work: Callable[[Tx, str], Awaitable[T]]) -> T | None:
        """One delivery in a transaction of its own, what came of it once that is committed.

        One that cannot be handled is put aside for a while.
        """
        try:
            async with self._database.transaction() as tx:
                done = await work(tx, delivery_id)
        except Exception as error:
            if is_infrastructure(error) or isinstance(error, Halted):
                raise  # what a newer version stored is not ours to touch: the sender stops, and readyz says why
            _log.exception("delivery_put_aside", delivery=delivery_id)
            async with self._database.transaction() as tx:
                await self._handlers.put_aside(tx, delivery_id, self._clock.now(), error)
            return None
        return done

    async def _converse(self, attempts: list[SendAttempt]) -> None:
        """All conversations to their ends; the first failure of the database is raised after the last has ended."""
        for attempt in attempts:
            attempt.task = asyncio.create_task(self._deliver(attempt))
        tasks = [attempt.task for attempt in attempts if attempt.task is not None]
        try:
            await _unfinished(tasks)
        except asyncio.CancelledError:
            for attempt in attempts:
                if attempt.task is not None and not attempt.confirming:
                    attempt.task.cancel()
            await _cut_off(tasks, self._patience)
            raise
        for task in tasks:
            task.result()

    async def _give_back(self, attempts: list[SendAttempt]) -> None:
        """What has an outcome is not ours any more, and stays as it is."""
        async with self._database.transaction() as tx:
            for attempt in attempts:
                await store.give_back(tx, attempt.claim.record, self._clock.now())

    async def _deliver(self, attempt: SendAttempt) -> None:
        record = attempt.claim.record
        try:
            receipt = await self._senders[record.channel].send(self._delivery(attempt.claim), self._confirm(attempt))
        except NotConfirmed:
            _log.warning("not_sent_after_all", delivery=record.id)
        except Exception as error:  # a channel's bug: the others go on
            if attempt.database_error is not None:
                raise
            _log.exception("channel_failed", delivery=record.id, channel=record.channel)
            failure = error
            await self._each(
                record.id, lambda tx, _: self._handlers.attempt_failed(tx, record, self._clock.now(), failure)
            )
        else:
            await self._each(record.id, lambda tx, _: self._record(tx, record, receipt))

    async def _record(self, tx: Tx, record: DeliveryRecord, receipt: Receipt) -> None:
        now = self._clock.now()
        if not await self._handlers.record_outcome(tx, record, receipt.outcome, now, receipt.detail, receipt.reference):
            _log.warning("settled_by_another", delivery=record.id, outcome=receipt.outcome)
        if self._heard(record.channel, receipt, now):
            await self._handlers.resume(tx, record.channel, now)

    def _heard(self, channel: str, receipt: Receipt, now: datetime) -> bool:
        """Note how the channel does; True where it answers again."""
        circuit = self._circuits[channel]
        if receipt.nobody:
            circuit.found_nobody(now)
            self.problems[f"channel:{channel}"] = circuit.words(receipt.detail)
            return False
        if receipt.outcome in {"retry", "retry_idempotent"}:
            self.problems[f"channel:{channel}"] = f"the latest attempt is repeated: {receipt.detail}"
        else:
            self.problems.pop(f"channel:{channel}", None)
        return circuit.answered()

    def _confirm(self, attempt: SendAttempt) -> ConfirmSend:
        async def confirm() -> None:
            attempt.confirming = True
            try:
                async with self._database.transaction() as tx:
                    may = await self._handlers.confirm_send(tx, attempt.claim.record, self._clock.now())
            except Exception as error:
                if is_infrastructure(error):
                    attempt.database_error = error
                raise
            if not may:
                raise NotConfirmed

        return confirm

    def _delivery(self, claim: Claim) -> Delivery:
        record = claim.record
        transactional = record.outreach_class == TRANSACTIONAL
        return Delivery(
            id=record.id,
            account=record.account,
            play=record.play,
            step=record.step,
            outreach_class=record.outreach_class,
            subject=record.subject,
            text=record.text,
            html=record.html,
            user=record.user,
            email=claim.email,
            name=(person_name(claim.name) or "") if greeting_name(claim.name) else "",
            reply_to=claim.reply_to or None,
            unsubscribe=None if transactional else self._writer.unsubscribe_url(record.id),
        )


async def _unfinished(tasks: list[asyncio.Task[None]], seconds: float | None = None) -> set[asyncio.Task[None]]:
    """Wait for them; those that did not end."""
    return (await asyncio.wait(tasks, timeout=seconds))[1] if tasks else set()


async def _cut_off(tasks: list[asyncio.Task[None]], patience: float) -> None:
    for task in await _unfinished(tasks, patience):
        task.cancel()
    late = await _unfinished(tasks, _CLOSE_TIMEOUT)
    _log.warning("conversations_cut_off", cut=sum(task.cancelled() for task in tasks), still_talking=len(late))
