"""Store of ceilings: counts what leaves, and says what is held back. Counted at the point of no return, under a lock.

The ceilings' rows are locked last in a transaction (delivery, account, persons, ceilings), so that two processes never let
through more than the maximum between them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import delete, select, update

from services.notify.core.budget import LOOK_AGAIN, Ceiling
from services.notify.tables import ceiling as row
from services.notify.tables import delivery, person
from services.notify.tables import send_count as counted
from shared.db.protocol import Database, Read, Tx
from shared.failures import Refused

_log = structlog.get_logger(__name__)
HELD: Literal["ceiling"] = "ceiling"
"""The reason of a delivery that a ceiling holds back."""


class CeilingReached(NamedTuple):
    """The ceiling that holds a delivery back, in words, and when to look again."""

    ceiling: str
    until: datetime


class CeilingStatus(NamedTuple):
    """A ceiling and how it stands. `until` is None while it is open, and while it waits for somebody to release it."""

    name: str
    max: int
    within: float
    then: str
    counted: int
    tripped_at: datetime | None
    until: datetime | None
    released_at: datetime | None
    released_by: str | None

    @property
    def words(self) -> str:
        """What is wrong, empty where nothing is."""
        if self.tripped_at is None:
            return ""
        how = "until somebody releases it" if self.until is None else f"until {self.until.isoformat()}"
        return (
            f"nothing more leaves {how}: {self.counted} of at most {self.max} in {self.within:g} s went out; "
            f"look at the outbox (reason {HELD}), then POST /notify/v1/ceilings/{self.name}/release"
        )


class Ceilings:
    """The ceilings of a budget."""

    def __init__(self, ceilings: Sequence[Ceiling]) -> None:
        self._ceilings = {ceiling.name: ceiling for ceiling in ceilings}

    async def closed(self, tx: Tx, person_key: str | None, now: datetime) -> CeilingReached | None:
        """What holds back a message to this person, as far as can be seen without a lock; that is noted."""
        wanted = await self._that_count(tx, person_key)
        return await self._reached(tx, wanted, await self._counts(tx, wanted, now), now)

    async def count(self, tx: Tx, person_key: str | None, now: datetime) -> CeilingReached | None:
        """Count a message in, or nothing of it where a ceiling holds it back. From here on its address is no new one."""
        wanted = await self._that_count(tx, person_key)
        names = sorted(ceiling.name for ceiling in wanted)
        await tx.insert_new(row, [{"name": name} for name in names])
        await tx.all(select(row.c.name).where(row.c.name.in_(names)).order_by(row.c.name).with_for_update())
        counts = await self._counts(tx, wanted, now)
        reached = await self._reached(tx, wanted, counts, now)
        if reached is not None:
            return reached
        for ceiling in wanted:
            await self._add(tx, ceiling, counts[ceiling.name], now)
        if person_key is not None:
            first = update(person).where(person.c.id == person_key, person.c.first_mailed_at.is_(None))
            await tx.run(first.values(first_mailed_at=now))
        return None

    async def status(self, read: Read, now: datetime) -> list[CeilingStatus]:
        """Each ceiling as it stands."""
        ceilings = list(self._ceilings.values())
        counts = await self._counts(read, ceilings, now)
        rows = {found.name: found for found in await read.all(select(row))}
        return [self._status(ceiling, counts[ceiling.name], rows.get(ceiling.name), now) for ceiling in ceilings]

    async def release(self, tx: Tx, name: str, by: str, now: datetime) -> None:
        """Count from nothing again, and let go what it held back. Raises Refused for an unknown name."""
        if name not in self._ceilings:
            raise Refused(f"no ceiling '{name}'; there are: {', '.join(self._ceilings)}", "no_ceiling", 404)
        released = {"tripped_at": None, "until": None, "released_at": now, "released_by": by}
        await tx.upsert(row, [{"name": name, **released}])
        await tx.run(delete(counted).where(counted.c.name == name))
        c = delivery.c
        waiting = update(delivery).where(c.status == "pending", c.reason == HELD, c.not_before > now)
        await tx.run(waiting.values(not_before=now))

    async def _reached(
        self, tx: Tx, wanted: Sequence[Ceiling], counts: Mapping[str, Mapping[datetime, int]], now: datetime
    ) -> CeilingReached | None:
        """What holds a message back; that is noted."""
        tripped = await self._tripped(tx)
        reached = _longest(wanted, tripped, counts, now)
        if reached is not None:
            await self._trip(tx, wanted, tripped, counts, now)
        return reached

    async def _that_count(self, read: Read, person_key: str | None) -> list[Ceiling]:
        """The ceilings that count a message: new addresses only where there is an address, and it was never mailed."""
        is_new = person_key is not None and not await read.scalar(
            select(person.c.first_mailed_at).where(person.c.id == person_key)
        )
        return [ceiling for name, ceiling in self._ceilings.items() if is_new or name != "new_addresses"]

    async def _tripped(self, read: Read) -> dict[str, bool]:
        found = await read.all(select(row.c.name, row.c.tripped_at))
        return {one.name: one.tripped_at is not None for one in found}

    async def _counts(self, read: Read, wanted: Iterable[Ceiling], now: datetime) -> dict[str, dict[datetime, int]]:
        since = {ceiling.name: ceiling.counting_from(now) for ceiling in wanted}
        counts: dict[str, dict[datetime, int]] = {name: {} for name in since}
        rows = select(counted.c.name, counted.c.bucket, counted.c.count.label("number"))
        for found in await read.all(rows.where(counted.c.name.in_(sorted(since)))):
            if found.bucket >= since[found.name]:
                counts[found.name][found.bucket] = found.number
        return counts

    async def _trip(
        self,
        tx: Tx,
        wanted: Iterable[Ceiling],
        tripped: Mapping[str, bool],
        counts: Mapping[str, Mapping[datetime, int]],
        now: datetime,
    ) -> None:
        for ceiling in wanted:
            until = ceiling.room_from(counts[ceiling.name], now)
            if until is not None and not tripped.get(ceiling.name, False):
                await tx.upsert(row, [{"name": ceiling.name, "tripped_at": now, "until": until}])
                _log.error("ceiling_reached", ceiling=ceiling.words, stops=ceiling.stops, until=until.isoformat())

    async def _add(self, tx: Tx, ceiling: Ceiling, counts: Mapping[datetime, int], now: datetime) -> None:
        bucket = ceiling.bucket(now)
        if bucket not in counts:
            old = (counted.c.name == ceiling.name, counted.c.bucket < ceiling.counting_from(now))
            await tx.run(delete(counted).where(*old))
        await tx.upsert(counted, [{"name": ceiling.name, "bucket": bucket, "count": counts.get(bucket, 0) + 1}])
        await tx.run(update(row).where(row.c.name == ceiling.name).values(tripped_at=None, until=None))

    def _status(self, ceiling: Ceiling, counts: Mapping[datetime, int], found: object, now: datetime) -> CeilingStatus:
        tripped_at = getattr(found, "tripped_at", None)
        room_from = ceiling.room_from(counts, now)
        is_held = tripped_at is not None and (ceiling.stops or room_from is not None)
        return CeilingStatus(
            name=ceiling.name,
            max=ceiling.max,
            within=ceiling.within.total_seconds(),
            then="stop" if ceiling.stops else "wait",
            counted=sum(counts.values()),
            tripped_at=tripped_at if is_held else None,
            until=room_from if is_held and not ceiling.stops else None,
            released_at=getattr(found, "released_at", None),
            released_by=getattr(found, "released_by", None),
        )


class CeilingWatch(Collector):
    """What readyz and the metrics show of the ceilings, as last read."""

    def __init__(self, ceilings: Ceilings) -> None:
        self._ceilings = ceilings
        self._latest: list[CeilingStatus] = []

    async def notices(self, database: Database, now: datetime) -> dict[str, str]:
        """Ceiling -> why nothing leaves, for those that hold something back."""
        async with database.snapshot() as read:
            self._latest = await self._ceilings.status(read, now)
        return {f"ceiling:{status.name}": status.words for status in self._latest if status.words}

    def collect(self) -> Iterable[Metric]:
        """Prometheus: for each ceiling its maximum, what it counts, and whether it holds anything back."""
        most = GaugeMetricFamily("waymark_ceiling_max", "Messages that may leave in the window", labels=["ceiling"])
        used = GaugeMetricFamily("waymark_ceiling_counted", "Messages that left in the window", labels=["ceiling"])
        tripped = GaugeMetricFamily("waymark_ceiling_tripped", "1 while it holds messages back", labels=["ceiling"])
        for status in self._latest:
            most.add_metric([status.name], status.max)
            used.add_metric([status.name], status.counted)
            tripped.add_metric([status.name], float(status.tripped_at is not None))
        return [most, used, tripped]


def _longest(
    wanted: Iterable[Ceiling],
    tripped: Mapping[str, bool],
    counts: Mapping[str, Mapping[datetime, int]],
    now: datetime,
) -> CeilingReached | None:
    """Of those that hold it back the one that does so longest."""
    reasons = [found for ceiling in wanted if (found := _reached(ceiling, tripped, counts[ceiling.name], now))]
    return max(reasons, key=lambda one: (one.until, one.ceiling), default=None)


def _reached(
    ceiling: Ceiling, tripped: Mapping[str, bool], counts: Mapping[datetime, int], now: datetime
) -> CeilingReached | None:
    until = ceiling.room_from(counts, now)
    if ceiling.stops and (until is not None or tripped.get(ceiling.name, False)):
        return CeilingReached(f"{ceiling.words}, until somebody releases it", now + LOOK_AGAIN)
    return None if until is None else CeilingReached(ceiling.words, until)
