"""Sending limits: the ceilings over everything that leaves, and the first sends that somebody approves before the rest goes.

Both count at the point of no return, under a lock: two processes never let through more than the maximum between them. The
ceilings' rows are locked last in a transaction (delivery, account, persons, ceilings).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import delete, func, literal, or_, select, update

from services.notify.core.budget import Ceiling
from services.notify.core.channels import Channels
from services.notify.tables import ceiling as row
from services.notify.tables import delivery, marker, person
from services.notify.tables import send_count as counted
from shared.db.protocol import Database, Read, Tx
from shared.failures import Refused

_log = structlog.get_logger(__name__)
HELD_BY_CEILING: Literal["ceiling"] = "ceiling"
"""The reason of a delivery that a ceiling holds back."""
CEILING_LOOK_AGAIN = timedelta(minutes=10)
"""What a stopped ceiling holds back is looked at again after so long: somebody may have released it."""
AWAITS_APPROVAL: Literal["approval"] = "approval"
"""The reason of a delivery that waits for the approval."""
APPROVAL_LOOK_AGAIN = timedelta(hours=1)
_APPROVAL = "first_sends"
_COUNTING = ""
_delivery = delivery.c


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
            f"look at the outbox (reason {HELD_BY_CEILING}), then POST /notify/v1/ceilings/{self.name}/release"
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
        waiting = update(delivery).where(c.status == "pending", c.reason == HELD_BY_CEILING, c.not_before > now)
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
        return CeilingReached(f"{ceiling.words}, until somebody releases it", now + CEILING_LOOK_AGAIN)
    return None if until is None else CeilingReached(ceiling.words, until)


class ApprovalStatus(NamedTuple):
    """How it stands: `limit` first sends (0: no approval is needed), `sent` of them, `waiting` messages; who approved, and when."""

    limit: int
    sent: int
    waiting: int
    approved_by: str = ""
    approved_at: datetime | None = None

    @property
    def needed(self) -> bool:
        """Whether messages wait for it, or will."""
        return self.approved_at is None and 0 < self.limit <= self.sent

    @property
    def words(self) -> str:
        """What is held, and how to let it go; empty while nothing is."""
        if not self.needed:
            return ""
        return (
            f"the first {self.limit} messages have left, {self.waiting} wait: look at what went out, then approve the rest "
            "(console, `waymark outbox approve`, or POST /notify/v1/approval)"
        )


class FirstSends:
    """The first so many (`limit`) messages of these channels that reach customers; 0 is no limit. Once, for the life of an installation.

    The lock is a marker's row.
    """

    def __init__(self, limit: int, channels: Channels) -> None:
        self._limit = limit
        self._channels = sorted(name for name, traits in channels.items() if traits.reaches_customer)
        self._approved = limit == 0

    async def objection(self, tx: Tx) -> str:
        """Why a message to a customer waits for the approval, as far as can be seen without a lock; empty where it does not."""
        if await self._is_approved(tx) or await self._sent(tx) < self._limit:
            return ""
        return f"the first {self._limit} have left"

    async def locked_objection(self, tx: Tx, now: datetime) -> str:
        """The same under the lock: whoever else is about to send has been counted, or will count this one."""
        if await self._is_approved(tx):
            return ""
        await tx.insert_new(marker, [{"name": _APPROVAL, "value": _COUNTING, "at": now}])
        await tx.all(select(marker.c.name).where(marker.c.name == _APPROVAL).with_for_update())
        return await self.objection(tx)

    async def approve(self, tx: Tx, by: str, now: datetime) -> None:
        """Let the rest go, for good."""
        await tx.upsert(marker, [{"name": _APPROVAL, "value": by, "at": now}])
        waiting = update(delivery).where(
            _delivery.status == "pending", _delivery.reason == AWAITS_APPROVAL, _delivery.not_before > now
        )
        await tx.run(waiting.values(not_before=now))

    async def status(self, read: Read) -> ApprovalStatus:
        """How it stands now."""
        row = await read.first(select(marker.c.value, marker.c.at).where(marker.c.name == _APPROVAL))
        waiting = (
            select(func.count())
            .select_from(delivery)
            .where(_delivery.status == "pending", _delivery.reason == AWAITS_APPROVAL)
        )
        sent, held = await self._sent(read), int(await read.scalar(waiting) or 0)
        if row is None or row.value == _COUNTING:
            return ApprovalStatus(self._limit, sent, held)
        return ApprovalStatus(self._limit, sent, held, row.value, row.at)

    async def _is_approved(self, read: Read) -> bool:
        """Read until it is so: an approval is never taken back."""
        if not self._approved:
            value = await read.scalar(select(marker.c.value).where(marker.c.name == _APPROVAL))
            self._approved = bool(value)
        return self._approved

    async def _sent(self, read: Read) -> int:
        """How many went out, or may have: as far as the limit, more are not counted."""
        return await _count_sent(read, self._channels, self._limit)


async def _count_sent(read: Read, channels: Iterable[str], limit: int) -> int:
    under_way = (_delivery.status == "sending") & (_delivery.stage == "data_sent")
    out = or_(_delivery.status.in_(["sent", "unknown"]), under_way)
    some = (
        select(literal(1))
        .select_from(delivery)
        .where(out, _delivery.channel.in_(list(channels)))
        .limit(limit)
        .subquery()
    )
    return int(await read.scalar(select(func.count()).select_from(some)) or 0)
