"""What does lifecycle know? Accounts, everything decided about them, and how long they stayed in each stage: to be read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select

from services.lifecycle.core.state import Account, decode_state
from services.lifecycle.tables import account, message, stay
from shared.db.protocol import Read

_c = account.c


async def due(read: Read, part: int, until: datetime, limit: int) -> list[str]:
    """Accounts of a partition for which time has something to do, the longest overdue first."""
    waiting = select(_c.id).where(_c.part == part, _c.next_due <= until, _c.held.is_(False))
    return [row.id for row in await read.all(waiting.order_by(_c.next_due).limit(limit))]


_SHOWN = (_c.id, _c.name, _c.stage, _c.entered_at, _c.flags, _c.band, _c.score, _c.clock, _c.held)


async def listed(
    read: Read, stage: str | None, band: str | None, flag: str | None, after: str, limit: int
) -> Sequence[Row[Any]]:
    """Accounts by id, those that match every filter given."""
    found: Select[Any] = select(*_SHOWN).where(_c.id > after)
    if stage is not None:
        found = found.where(_c.stage == stage)
    if band is not None:
        found = found.where(_c.band == band)
    if flag is not None:
        found = found.where(_c.flags.contains(f" {flag} ", autoescape=True))
    return await read.all(found.order_by(_c.id).limit(limit))


async def state(read: Read, name: str) -> Account | None:
    """One account, or None."""
    stored = await read.scalar(select(_c.state).where(_c.id == name))
    return None if stored is None else decode_state(stored)


async def history(read: Read, name: str, kinds: Sequence[str], before: int | None, limit: int) -> Sequence[Row[Any]]:
    """What was decided about an account, the latest first."""
    m = message.c
    found = select(m.seq, m.body).where(m.account == name)
    if kinds:
        found = found.where(m.kind.in_(kinds))
    if before is not None:
        found = found.where(m.seq < before)
    return await read.all(found.order_by(m.seq.desc()).limit(limit))


async def stays(read: Read) -> Sequence[Row[Any]]:
    """Every stay: stage, when it began and ended, and where it led."""
    return await read.all(select(stay.c.account, stay.c.stage, stay.c.entered_at, stay.c.left_at, stay.c.next_stage))


async def clocks(read: Read) -> dict[str, datetime]:
    """Each account's own clock, to which its open stay lasts so far."""
    return {row.id: row.clock for row in await read.all(select(_c.id, _c.clock))}
