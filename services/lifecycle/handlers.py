"""Handlers of lifecycle: fold each account's events in order, write each account once, publish what was decided."""

import asyncio
from collections.abc import Sequence
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

GROUP = "lifecycle"
FEEDBACK_GROUP = "lifecycle-feedback"
_MIDNIGHTS = 100
"""So many midnights that decide something are looked at before the event loop gets another turn: some ten milliseconds."""


class Handlers:
    """Applies one definition. `partition_of` gives the partition of `usage.v1` that an account's events are in."""

    def __init__(self, compiled: CompiledDefinition, partition_of: PartitionOf, clock: Clock) -> None:
        self._compiled = compiled
        self._partition_of = partition_of
        self.accounts = repository(partition_of)
        self._clock = clock
        self.unreadable = PlaceCounts("waymark_unreadable_values", "Values that could not be read")
        self.untrusted = PlaceCounts("waymark_untrusted_claims", "What a browser said and may not say")
        self.handled_until: dict[int, datetime] = {}
        """For each partition of `usage.v1` when its latest handled event was received."""

    async def usage(self, tx: Tx, batch: MessageBatch) -> None:
        """One batch of `usage.v1`."""
        await self._fold(tx, batch.messages, lambda _: batch.partition, begins=True)
        self.handled_until[batch.partition] = batch.messages[-1].received_at

    async def feedback(self, tx: Tx, batch: MessageBatch) -> None:
        """One batch of `outreach.v1` or `advocacy.v1`: only for accounts we know."""
        events = [event for event in map(as_event, batch.messages) if event is not None]
        await self._fold(tx, events, self._partition_of, begins=False)

    async def advance_time(self, tx: Tx, ids: Sequence[str], until: datetime) -> int:
        """What time alone brings to these accounts. How many there were."""
        now = self._clock.now()

        async def advanced(_: str, account: Account | None) -> Decided | None:
            return Decided(account, await self._advance(account, until, now)) if account is not None else None

        tx.emit(LIFECYCLE, await change(tx, self.accounts, ids, self._partition_of, advanced))
        return len(ids)

    async def _advance(self, account: Account, until: datetime, now: datetime) -> list[LifecycleMessage]:
        """Fire its midnights, and let the other tasks of this process have the event loop between some and more of them."""
        messages = advance(account, until, self._compiled, now, _MIDNIGHTS)
        while account.next_due is not None and account.next_due <= until:
            await asyncio.sleep(0)
            messages += advance(account, until, self._compiled, now, _MIDNIGHTS)
        return messages

    async def _fold(self, tx: Tx, events: Sequence[UsageEvent], partition_of: PartitionOf, *, begins: bool) -> None:
        now, by_id = self._clock.now(), by_account(events)

        async def folded(account_id: str, account: Account | None) -> Decided | None:
            messages: list[LifecycleMessage] = []
            unreadable: list[UnreadableValue] = []
            claims: list[UntrustedClaim] = []
            for event in by_id[account_id]:
                if account is None:
                    if not begins or (event.name == HISTORY_ENDED and event.is_trusted):
                        continue
                    account = begin(account_id, event.at)
                if is_behind(account, event.at):
                    messages += await self._advance(account, event.at, now)
                messages += fold(account, event, self._compiled, now, unreadable, claims)
                if unreadable:
                    self.unreadable.count(event.source, unreadable)
                    unreadable.clear()
                if claims:
                    self.untrusted.count(event.source, claims)
                    claims.clear()
            return Decided(account, messages) if account is not None else None

        tx.emit(LIFECYCLE, await change(tx, self.accounts, by_id, partition_of, folded))
