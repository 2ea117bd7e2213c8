"""Handlers of lifecycle: fold each account's events in order, write each account once, publish what was decided."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from services.lifecycle.accounts import Decided, change, repository
from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.evaluation import UnreadableValue, UntrustedClaim
from services.lifecycle.core.feedback import as_event
from services.lifecycle.core.fold import advance, by_account, fold, is_behind
from services.lifecycle.core.state import Account, begin
from services.lifecycle.place_counts import PlaceCounts
from shared.clock import Clock
from shared.contracts.lifecycle import LifecycleMessage
from shared.contracts.topics import LIFECYCLE
from shared.contracts.usage import HISTORY_ENDED, UsageEvent
from shared.db.accounts import PartitionOf
from shared.db.protocol import Tx
from shared.service.processor import MessageBatch
from shared.service.time_slice import OutOfTime, TimeSlice

GROUP = "lifecycle"
FEEDBACK_GROUP = "lifecycle-feedback"
_LOOK_EVERY = 8
"""After so many events it is looked whether the time slice is over: they cost some hundred milliseconds at most."""
_MIDNIGHTS = 100
"""So many midnights that decide something are looked at before the event loop gets another turn: some ten milliseconds."""


class Handlers:
    """Applies one definition. `partition_of` gives the partition of `usage.v1` that an account's events are in."""

    def __init__(
        self, compiled: CompiledDefinition, partition_of: PartitionOf, clock: Clock, slice_seconds: float = math.inf
    ) -> None:
        self._compiled = compiled
        self._partition_of = partition_of
        self.accounts = repository(partition_of)
        self._clock = clock
        self._slice_seconds = slice_seconds
        self.unreadable = PlaceCounts("waymark_unreadable_values", "Values that could not be read")
        self.untrusted = PlaceCounts("waymark_untrusted_claims", "What a browser said and may not say")
        self.unmatched = PlaceCounts("waymark_unmatched_events", "Events whose name no event class matches")
        self.handled_until: dict[int, datetime] = {}
        """For each partition of `usage.v1` when its latest handled event was received."""

    async def usage(self, tx: Tx, batch: MessageBatch) -> None:
        """One batch of `usage.v1`."""
        await self._fold(tx, batch.messages, lambda _: batch.partition, batch.time_slice, begins=True)
        self._count_unmatched(batch.messages)
        self.handled_until[batch.partition] = batch.messages[-1].received_at

    async def feedback(self, tx: Tx, batch: MessageBatch) -> None:
        """One batch of `outreach.v1` or `advocacy.v1`: only for accounts we know."""
        events = [event for event in map(as_event, batch.messages) if event is not None]
        await self._fold(tx, events, self._partition_of, batch.time_slice, begins=False)

    async def advance_time(self, tx: Tx, ids: Sequence[str], until: datetime) -> int:
        """What time alone brings to these accounts, as far as a time slice goes. How many there were."""
        await self._pass_time(tx, ids, self._partition_of, until, TimeSlice(self._slice_seconds))
        return len(ids)

    async def _pass_time(
        self, tx: Tx, ids: Sequence[str], partition_of: PartitionOf, until: datetime, time_slice: TimeSlice
    ) -> bool:
        """Fire their midnights until then; False where the time slice ended before. An account that is part of the way is due on."""
        now, finished = self._clock.now(), True

        async def advanced(_: str, account: Account | None) -> Decided | None:
            nonlocal finished
            if account is None or time_slice.is_over:
                finished = finished and account is None
                return None
            messages = await self._advance(account, until, now, time_slice)
            finished = finished and not _is_due(account, until)
            return Decided(account, messages)

        tx.emit(LIFECYCLE, await change(tx, self.accounts, ids, partition_of, advanced))
        return finished

    async def _advance(
        self, account: Account, until: datetime, now: datetime, time_slice: TimeSlice
    ) -> list[LifecycleMessage]:
        """Fire its midnights while the time slice lasts, and let the other tasks of this process have the event loop in between."""
        messages = advance(account, until, self._compiled, now, _MIDNIGHTS)
        while _is_due(account, until) and not time_slice.is_over:
            await asyncio.sleep(0)
            messages += advance(account, until, self._compiled, now, _MIDNIGHTS)
        return messages

    async def _fold(
        self, tx: Tx, events: Sequence[UsageEvent], partition_of: PartitionOf, time_slice: TimeSlice, *, begins: bool
    ) -> None:
        now, by_id, done = self._clock.now(), by_account(events), 0

        async def folded(account_id: str, account: Account | None) -> Decided | None:
            nonlocal done
            messages: list[LifecycleMessage] = []
            unreadable: list[UnreadableValue] = []
            claims: list[UntrustedClaim] = []
            for event in by_id[account_id]:
                if done % _LOOK_EVERY == 0 and time_slice.is_over:
                    raise OutOfTime(done // 2)
                if account is None:
                    if not begins or (event.name == HISTORY_ENDED and event.is_trusted):
                        continue
                    account = begin(account_id, event.at)
                due = account.next_due
                if due is not None and due <= event.at and is_behind(account, event.at):
                    messages += await self._advance(account, event.at, now, time_slice)
                    if _is_due(account, event.at):
                        raise self._far_behind(events, event, partition_of)
                messages += fold(account, event, self._compiled, now, unreadable, claims)
                done += 1
                if unreadable:
                    self.unreadable.count(event.source, unreadable)
                    unreadable.clear()
                if claims:
                    self.untrusted.count(event.source, claims)
                    claims.clear()
            return Decided(account, messages) if account is not None else None

        tx.emit(LIFECYCLE, await change(tx, self.accounts, by_id, partition_of, folded))

    def _count_unmatched(self, events: Iterable[UsageEvent]) -> None:
        """Names that lifecycle.yaml does not have: often ones that their sender spells in another way."""
        route = self._compiled.router.route
        unmatched = [event for event in events if event.type == "track" and not route(event).matches]
        met = Counter((event.source, event.name) for event in unmatched if event.name != HISTORY_ENDED)
        latest = {(event.source, event.name): event.account for event in unmatched}
        for (source, name), times in met.items():
            self.unmatched.count(source, [(name, "", latest[source, name])], times)

    def _far_behind(self, events: Sequence[UsageEvent], event: UsageEvent, partition_of: PartitionOf) -> OutOfTime:
        """The account's time until this event takes time slices of its own, once all before it is committed."""

        async def some_of_it(tx: Tx) -> bool:
            return await self._pass_time(tx, [event.account], partition_of, event.at, TimeSlice(self._slice_seconds))

        return OutOfTime(next(place for place, one in enumerate(events) if one is event), some_of_it)


def _is_due(account: Account, until: datetime) -> bool:
    return account.next_due is not None and account.next_due <= until
