"""Handlers of lifecycle: fold each account's events in order, write each account once, publish what was decided."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from services.lifecycle.accounts import Decided, change, repository
from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.evaluation import Evaluation, UnreadableValue, UntrustedClaim
from services.lifecycle.core.feedback import as_event, keep, wakes_at
from services.lifecycle.core.fold import advance, by_account, fold_next, is_behind
from services.lifecycle.core.state import Account, begin
from services.lifecycle.place_counts import PlaceCounts
from services.lifecycle.store import keep_early, take_early, take_early_of
from services.lifecycle.tables import JOURNAL
from shared.clock import Clock
from shared.contracts.advocacy import AdvocacyMessage
from shared.contracts.lifecycle import LifecycleMessage
from shared.contracts.outreach import OutreachMessage
from shared.contracts.topics import LIFECYCLE
from shared.contracts.usage import HISTORY_ENDED, UsageEvent
from shared.db.accounts import PartitionOf
from shared.db.protocol import Tx
from shared.service.journal import DefinitionText, Input, Journal, of_batch, of_command, of_time
from shared.service.processor import MessageBatch
from shared.service.time_slice import OutOfTime, TimeSlice

GROUP = "lifecycle"
FEEDBACK_GROUP = "lifecycle-feedback"
DEFINITION_FILE = "lifecycle.yaml"
TAKE_EARLY = "take_early"
"""The command that gives feedback to accounts that have begun since: its arguments are accounts and ids, in turn."""
_JUST_BEFORE = timedelta(microseconds=1)
_LOOK_EVERY = 8
"""After so many events it is looked whether the time slice is over: they cost some hundred milliseconds at most."""
_EARLY_AT_ONCE = 500
_MIDNIGHTS = 100
"""So many midnights that decide something are looked at before the event loop gets another turn: some ten milliseconds."""


DueAt = Callable[[Account], datetime | None]
"""When an account has something to do next."""


def _midnight_of(account: Account) -> datetime | None:
    return account.next_due


class Handlers:
    """Applies one definition. `partition_of` gives the partition of `usage.v1` that an account's events are in."""

    def __init__(
        self, compiled: CompiledDefinition, partition_of: PartitionOf, clock: Clock, slice_seconds: float = math.inf
    ) -> None:
        self._compiled = compiled
        self._journal = Journal(JOURNAL, DefinitionText(compiled.version, {DEFINITION_FILE: compiled.text}))
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
        await self._fold(tx, batch, lambda _: batch.partition)
        self._count_unmatched(batch.messages)
        self.handled_until[batch.partition] = batch.messages[-1].received_at

    async def feedback(self, tx: Tx, batch: MessageBatch) -> None:
        """One batch of `outreach.v1` or `advocacy.v1`: each account keeps what is said of it until its clock gets there."""
        events = [event for event in map(as_event, batch.messages) if event is not None]
        now = self._clock.now()
        taken = partial(of_batch, batch.topic.name, batch.partition, batch.taken, now)
        await keep_early(tx, await self._keep(tx, events, taken), now)

    async def keep_for_later(self, tx: Tx, messages: Iterable[AdvocacyMessage | OutreachMessage]) -> None:
        """In a replay: feedback of accounts that had not begun when it was taken."""
        events = [event for event in map(as_event, messages) if event is not None]
        await keep_early(tx, events, self._clock.now())

    async def take_early(self, tx: Tx) -> int:
        """Give accounts that have begun the feedback that came before. How much there was."""
        return await self._give(tx, await take_early(tx, _EARLY_AT_ONCE))

    async def take_early_of(self, tx: Tx, kept: Iterable[tuple[str, str]]) -> int:
        """In a replay: the same, of these accounts and ids."""
        return await self._give(tx, await take_early_of(tx, kept))

    async def _give(self, tx: Tx, events: Sequence[UsageEvent]) -> int:
        now, names = self._clock.now(), [name for one in events for name in (one.account, one.id)]
        accounts = sorted({one.account for one in events})
        await self._keep(tx, events, lambda _: of_command(TAKE_EARLY, names, accounts, now))
        return len(events)

    async def _keep(
        self, tx: Tx, events: Sequence[UsageEvent], taken: Callable[[Sequence[str]], Input]
    ) -> list[UsageEvent]:
        """Let accounts keep these; what is left is of accounts that have not begun: `taken` is given them."""
        by_id, left = by_account(events), list[UsageEvent]()

        async def kept(account_id: str, account: Account | None) -> Decided | None:
            if account is None:
                left.extend(by_id[account_id])
                return None
            for event in by_id[account_id]:
                keep(account, event)
            return Decided(account, [])

        async def journaled(tx: Tx, unknown: Mapping[str, bytes]) -> None:
            await self._journal.write(tx, taken(sorted({one.account for one in left})), unknown)

        await change(tx, self.accounts, by_id, self._partition_of, kept, journaled)
        if left and len({one.account for one in left}) == len(by_id):
            await journaled(tx, {})
        return left

    async def advance_time(self, tx: Tx, ids: Sequence[str], until: datetime) -> int:
        """What time alone brings to these accounts, as far as a time slice goes. How many there were."""
        await self._pass_time(tx, ids, self._partition_of, until, TimeSlice(self._slice_seconds), wakes_at)
        return len(ids)

    async def advance_to_event(self, tx: Tx, account_id: str, until: datetime) -> None:
        """In a replay: the midnights of a gap before an event, whoever drives the account."""
        await self._pass_time(tx, [account_id], self._partition_of, until, TimeSlice(), _midnight_of)

    async def _pass_time(
        self,
        tx: Tx,
        ids: Sequence[str],
        partition_of: PartitionOf,
        until: datetime,
        time_slice: TimeSlice,
        due_at: DueAt,
    ) -> bool:
        """Let their time pass until then; False where the time slice ended before. An account that is part of the way is due on."""
        now, finished = self._clock.now(), True
        passed, stopped = list[str](), dict[str, datetime]()

        async def advanced(account_id: str, account: Account | None) -> Decided | None:
            nonlocal finished
            if account is None or time_slice.is_over:
                finished = finished and account is None
                return None
            messages = await self._advance(account, until, now, time_slice, due_at)
            passed.append(account_id)
            is_due = _is_due(due_at(account), until)
            finished = finished and not is_due
            if is_due and account.next_due is not None:
                # everything before its next midnight was looked at, and nothing from there on
                stopped[account_id] = account.next_due - _JUST_BEFORE
            return Decided(account, messages)

        async def journaled(tx: Tx, unknown: Mapping[str, bytes]) -> None:
            to_event = due_at is _midnight_of
            time = of_time(partition_of(passed[0]), passed, until, stopped, now, to_event=to_event)
            await self._journal.write(tx, time, unknown)

        tx.emit(LIFECYCLE, await change(tx, self.accounts, ids, partition_of, advanced, journaled))
        return finished

    async def _advance(
        self,
        account: Account,
        until: datetime,
        now: datetime,
        time_slice: TimeSlice,
        due_at: DueAt = _midnight_of,
    ) -> list[LifecycleMessage]:
        """Let its time pass while the time slice lasts, and let the other tasks of this process have the event loop in between."""
        messages: list[LifecycleMessage] = []
        while _is_due(due_at(account), until):
            messages += advance(account, until, self._compiled, now, _MIDNIGHTS)
            if time_slice.is_over:
                break
            await asyncio.sleep(0)
        return messages

    async def _fold(self, tx: Tx, batch: MessageBatch, partition_of: PartitionOf) -> None:
        events, time_slice = batch.messages, batch.time_slice
        now, by_id, done = self._clock.now(), by_account(events), 0

        async def folded(account_id: str, account: Account | None) -> Decided | None:
            nonlocal done
            messages: list[LifecycleMessage] = []
            unreadable: list[UnreadableValue] = []
            claims: list[UntrustedClaim] = []
            evaluation: Evaluation | None = None
            for event in by_id[account_id]:
                if done % _LOOK_EVERY == 0 and time_slice.is_over:
                    raise OutOfTime(done // 2)
                account = account or _begin(event)
                if account is None:
                    continue
                due = account.next_due
                is_far_behind = due is not None and due <= event.at and is_behind(account, event.at)
                if is_far_behind:
                    messages += await self._advance(account, event.at, now, time_slice)
                    if _is_due(account.next_due, event.at):
                        raise self._far_behind(events, event, partition_of)
                if is_far_behind or evaluation is None:
                    evaluation = Evaluation(account, self._compiled.metrics, now, unreadable, claims)
                messages += fold_next(evaluation, event, self._compiled)
                done += 1
                if unreadable or claims:
                    self._count(event, unreadable, claims)
            return Decided(account, messages) if account is not None else None

        async def journaled(tx: Tx, unknown: Mapping[str, bytes]) -> None:
            taken = of_batch(batch.topic.name, batch.partition, batch.taken, now)
            await self._journal.write(tx, taken, unknown)

        tx.emit(LIFECYCLE, await change(tx, self.accounts, by_id, partition_of, folded, journaled))

    def _count(self, event: UsageEvent, unreadable: list[UnreadableValue], claims: list[UntrustedClaim]) -> None:
        """Count what this event said that counts nowhere, and forget it."""
        self.unreadable.count(event.source, unreadable)
        self.untrusted.count(event.source, claims)
        unreadable.clear()
        claims.clear()

    def _count_unmatched(self, events: Iterable[UsageEvent]) -> None:
        """Names that lifecycle.yaml does not have: often ones that their sender spells in another way."""
        unmatched = self._compiled.router.unmatched(events)
        met = Counter((event.source, event.name) for event in unmatched if event.name != HISTORY_ENDED)
        latest = {(event.source, event.name): event.account for event in unmatched}
        for (source, name), times in met.items():
            self.unmatched.count(source, [(name, "", latest[source, name])], times)

    def _far_behind(self, events: Sequence[UsageEvent], event: UsageEvent, partition_of: PartitionOf) -> OutOfTime:
        """The account's time until this event takes time slices of its own, once all before it is committed."""

        async def some_of_it(tx: Tx) -> bool:
            time_slice = TimeSlice(self._slice_seconds)
            return await self._pass_time(tx, [event.account], partition_of, event.at, time_slice, _midnight_of)

        return OutOfTime(next(place for place, one in enumerate(events) if one is event), some_of_it)


def _begin(event: UsageEvent) -> Account | None:
    """The account of its first event; the end of an import begins none."""
    return None if event.name == HISTORY_ENDED and event.is_trusted else begin(event.account, event.at)


def _is_due(due: datetime | None, until: datetime) -> bool:
    return due is not None and due <= until
