"""First sends: after the first messages to customers the rest wait until somebody has looked at them and approved.

Once, for the life of an installation. Counted at the point of no return under a lock (a marker's row), so that no two
processes let through more between them.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from sqlalchemy import func, literal, or_, select, update

from services.notify.core.channels import Channels
from services.notify.tables import delivery, marker
from shared.db.protocol import Read, Tx

WAITS: Literal["approval"] = "approval"
"""The reason of a delivery that waits for the approval."""
LOOK_AGAIN = timedelta(hours=1)
_NAME = "first_sends"
_COUNTING = ""
_c = delivery.c


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
    """The first so many (`limit`) messages of these channels that reach customers; 0 is no limit."""

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
        await tx.insert_new(marker, [{"name": _NAME, "value": _COUNTING, "at": now}])
        await tx.all(select(marker.c.name).where(marker.c.name == _NAME).with_for_update())
        return await self.objection(tx)

    async def approve(self, tx: Tx, by: str, now: datetime) -> None:
        """Let the rest go, for good."""
        await tx.upsert(marker, [{"name": _NAME, "value": by, "at": now}])
        waiting = update(delivery).where(_c.status == "pending", _c.reason == WAITS, _c.not_before > now)
        await tx.run(waiting.values(not_before=now))

    async def status(self, read: Read) -> ApprovalStatus:
        """How it stands now."""
        row = await read.first(select(marker.c.value, marker.c.at).where(marker.c.name == _NAME))
        waiting = select(func.count()).select_from(delivery).where(_c.status == "pending", _c.reason == WAITS)
        sent, held = await self._sent(read), int(await read.scalar(waiting) or 0)
        if row is None or row.value == _COUNTING:
            return ApprovalStatus(self._limit, sent, held)
        return ApprovalStatus(self._limit, sent, held, row.value, row.at)

    async def _is_approved(self, read: Read) -> bool:
        """Read until it is so: an approval is never taken back."""
        if not self._approved:
            value = await read.scalar(select(marker.c.value).where(marker.c.name == _NAME))
            self._approved = bool(value)
        return self._approved

    async def _sent(self, read: Read) -> int:
        """How many went out, or may have: as far as the limit, more are not counted."""
        return await _count(read, self._channels, self._limit)


async def _count(read: Read, channels: Iterable[str], limit: int) -> int:
    under_way = (_c.status == "sending") & (_c.stage == "data_sent")
    out = or_(_c.status.in_(["sent", "unknown"]), under_way)
    some = select(literal(1)).select_from(delivery).where(out, _c.channel.in_(list(channels))).limit(limit).subquery()
    return int(await read.scalar(select(func.count()).select_from(some)) or 0)
