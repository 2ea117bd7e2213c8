"""Retention: deletes rows that nothing depends on any more and that are older than a setting allows, a batch at a time."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import ColumnElement, Table, delete, select, tuple_

from shared.bus.tables import dead_letter
from shared.clock import Clock
from shared.db.protocol import Database

BATCH = 500
"""Rows that one transaction deletes: others wait for it no longer than for one of their own."""
REDRIVEN = timedelta(days=30)
"""How long a dead letter is kept that was redriven: nobody has to look at it any more."""


class RetentionPolicy(NamedTuple):
    """Rows of a table that may go: all of their `times` are so long ago, and they meet every condition."""

    table: Table
    age: timedelta
    times: Sequence[ColumnElement[datetime]]
    conditions: Sequence[ColumnElement[bool]] = ()


def parked(groups: Sequence[str], days: int) -> list[RetentionPolicy]:
    """Dead letters of these groups: redriven ones sooner than those that nobody has looked at."""
    c = dead_letter.c
    of_groups = c.consumer_group.in_(groups)
    kept = timedelta(days=days)
    return [
        RetentionPolicy(dead_letter, kept, [c.parked_at], [of_groups]),
        RetentionPolicy(dead_letter, min(kept, REDRIVEN), [c.redriven_at], [of_groups]),
    ]


class Retention(Collector):
    """Applies policies. Several processes may do so at once."""

    def __init__(self, policies: Sequence[RetentionPolicy], database: Database, clock: Clock) -> None:
        self._policies = policies
        self._database = database
        self._clock = clock
        self._deleted = {policy.table.name: 0 for policy in policies}

    async def delete_expired(self) -> int:
        """One batch of each policy: how many rows were deleted."""
        return sum([await self._delete(policy) for policy in self._policies])

    async def _delete(self, policy: RetentionPolicy) -> int:
        key = list(policy.table.primary_key.columns)
        before = self._clock.now() - policy.age
        old = (*(time < before for time in policy.times), *policy.conditions)
        async with self._database.snapshot() as read:
            rows = await read.all(select(*key).where(*old).limit(BATCH))
        if not rows:
            return 0
        async with self._database.transaction() as tx:
            these = (
                tuple_(*key).in_([tuple(row) for row in rows]) if len(key) > 1 else key[0].in_([row[0] for row in rows])
            )
            deleted = await tx.run(delete(policy.table).where(these, *old))
        self._deleted[policy.table.name] += deleted
        return deleted

    def collect(self) -> Iterator[Metric]:
        """Prometheus: how many rows were deleted."""
        family = CounterMetricFamily("waymark_expired_rows", "Rows deleted because of their age", labels=["table"])
        for name, deleted in self._deleted.items():
            family.add_metric([name], deleted)
        yield family
