"""What do we remember of deliveries? Each decision once, with its text and its reason."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row, Select, func, select, update

from services.notify.core.planned import Planned
from services.notify.tables import delivery
from shared.db.protocol import Read, Tx, Values

_c = delivery.c
_decode = msgspec.json.Decoder(Planned).decode
_LISTED = [column for column in _c if column.name not in {"text", "html", "decision"}]


class Wanted(NamedTuple):
    """Which deliveries a list shows: those that match every filter given."""

    status: str | None = None
    account: str | None = None
    play: str | None = None
    channel: str | None = None
    history: bool | None = None


def decision(row: Row[Any]) -> Planned:
    """What the core decided."""
    return _decode(row.decision)


async def known(read: Read, ids: Collection[str]) -> set[str]:
    """Those of these that stand here already."""
    return {row.id for row in await read.among(select(_c.id), _c.id, ids)}


async def add(tx: Tx, rows: Iterable[Values]) -> None:
    """Write new ones; one that is there stays as it is."""
    await tx.insert_new(delivery, rows)


async def change(tx: Tx, row: Row[Any], **values: Any) -> bool:
    """Change the delivery if it still is as this row shows it; False when somebody else was faster."""
    same = (_c.id == row.id, _c.status == row.status, _c.lease_epoch == row.lease_epoch)
    return await tx.run(update(delivery).where(*same).values(values)) == 1


async def give_back(tx: Tx, row: Row[Any], now: datetime) -> None:
    """A sender that stops: what nobody was told is as if never claimed, what is in doubt need not wait for the lease."""
    same = (_c.id == row.id, _c.status == "sending", _c.lease_epoch == row.lease_epoch)
    as_before = {"status": "pending", "attempt": row.attempt - 1, "lease_until": None}
    await tx.run(update(delivery).where(*same, _c.stage == "claimed").values(as_before))
    await tx.run(update(delivery).where(*same, _c.stage == "data_sent").values(lease_until=now))


async def one(read: Read, name: str) -> Row[Any] | None:
    """A delivery, or None."""
    return await read.first(select(delivery).where(_c.id == name))


async def locked(tx: Tx, name: str) -> Row[Any] | None:
    """A delivery, locked, or None."""
    return await tx.first(select(delivery).where(_c.id == name).with_for_update())


async def due(tx: Tx, now: datetime, limit: int) -> Sequence[Row[Any]]:
    """Pending ones whose time has come, locked; what another sender holds is left out."""
    waiting = select(delivery).where(_c.status == "pending", _c.not_before <= now)
    return await tx.all(waiting.order_by(_c.not_before, _c.id).limit(limit).with_for_update(skip_locked=True))


async def stranded(tx: Tx, now: datetime, limit: int) -> Sequence[Row[Any]]:
    """Those being sent by somebody who did not come back in time, locked."""
    lost = select(delivery).where(_c.status == "sending", _c.lease_until <= now)
    return await tx.all(lost.order_by(_c.id).limit(limit).with_for_update(skip_locked=True))


async def previewed(tx: Tx, play: str) -> Sequence[Row[Any]]:
    """Every delivery of a play that is only shown and could be sent, locked in id order."""
    shown = select(delivery).where(_c.play == play, _c.status == "previewed", _c.history.is_(False))
    return await tx.all(shown.order_by(_c.id).with_for_update())


async def listed(read: Read, wanted: Wanted, before: tuple[datetime, str] | None, limit: int) -> Sequence[Row[Any]]:
    """Deliveries, the newest on their accounts' clocks first; without their texts."""
    found = _matching(select(*_LISTED), wanted)
    if before is not None:
        at, name = before
        found = found.where((_c.at < at) | ((_c.at == at) & (_c.id < name)))
    return await read.all(found.order_by(_c.at.desc(), _c.id.desc()).limit(limit))


async def counts(read: Read) -> dict[str, dict[str, int]]:
    """Play -> status -> how many."""
    found: dict[str, dict[str, int]] = {}
    counted = select(_c.play, _c.status, func.count().label("many")).group_by(_c.play, _c.status)
    for row in await read.all(counted.order_by(_c.play, _c.status)):
        found.setdefault(row.play, {})[row.status] = row.many
    return found


def _matching(found: Select[Any], wanted: Wanted) -> Select[Any]:
    for name, value in wanted._asdict().items():
        if value is not None:
            found = found.where(_c[name] == value)
    return found
