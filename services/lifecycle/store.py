"""What does lifecycle remember? Accounts, everything decided about them, and how long they stayed in each stage."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, Select, bindparam, select, update

from services.lifecycle.core.state import Account, decode_state, encode_state, next_due
from services.lifecycle.tables import account, message, stay
from shared.contracts.lifecycle import LifecycleMessage, StageChanged
from shared.db.protocol import Read, Tx

_c = account.c
_STATES = select(_c.id, _c.state).with_for_update()
_encode = msgspec.json.Encoder().encode


async def locked(tx: Tx, ids: Collection[str]) -> dict[str, Account]:
    """The accounts of these that are known, locked in id order until the transaction ends."""
    rows = await tx.among(_STATES, _c.id, ids)
    return {row.id: decode_state(row.state) for row in rows}


async def due(read: Read, part: int, until: datetime, limit: int) -> list[str]:
    """Accounts of a partition for which time has something to do, the longest overdue first."""
    waiting = select(_c.id).where(_c.part == part, _c.next_due <= until, _c.held.is_(False))
    return [row.id for row in await read.all(waiting.order_by(_c.next_due).limit(limit))]


async def keep(
    tx: Tx, part_of: Callable[[str], int], accounts: Iterable[Account], messages: Sequence[LifecycleMessage]
) -> None:
    """Write the accounts as they are now, and what was decided."""
    await tx.upsert(account, [_row(part_of(one.id), one) for one in accounts])
    await tx.insert(message, [_message(one) for one in messages])
    moves = [one for one in messages if isinstance(one, StageChanged)]
    await _enter(tx, moves)


_STILL_OPEN = (stay.c.account == bindparam("of"), stay.c.left_at.is_(None), stay.c.seq < bindparam("by"))
_LEAVE = update(stay).where(*_STILL_OPEN).values(left_at=bindparam("at"), next_stage=bindparam("to"))


async def _enter(tx: Tx, moves: Sequence[StageChanged]) -> None:
    """Whoever enters a stage leaves the one before, which stands in the table or is itself among these moves."""
    open_now: dict[str, dict[str, Any]] = {}
    rows, left = [], []
    for move in moves:
        before = open_now.get(move.account)
        if before is not None:
            before |= {"left_at": move.at, "next_stage": move.stage}
        elif move.previous is not None:
            left.append({"of": move.account, "by": move.seq, "at": move.at, "to": move.stage})
        open_now[move.account] = _stay(move)
        rows.append(open_now[move.account])
    await tx.each(_LEAVE, left)
    await tx.insert(stay, rows)


def _row(part: int, one: Account) -> dict[str, Any]:
    name, health = one.traits.get("name"), one.health
    return {
        "id": one.id,
        "part": part,
        "name": str(name.value) if name is not None and name.value is not None else one.id,
        "stage": one.stage,
        "entered_at": one.entered_at,
        "flags": f" {' '.join(sorted(one.flags))} ",
        "band": health.band,
        "score": health.score,
        "clock": one.clock,
        "next_due": next_due(one),
        "held": one.held,
        "seq": one.seq,
        "state": encode_state(one),
    }


def _message(one: LifecycleMessage) -> dict[str, Any]:
    kind = str(one.__struct_config__.tag)
    return {"account": one.account, "seq": one.seq, "kind": kind, "at": one.at, "body": _encode(one)}


def _stay(one: StageChanged) -> dict[str, Any]:
    return {
        "account": one.account,
        "seq": one.seq,
        "stage": one.stage,
        "entered_at": one.at,
        "left_at": None,
        "next_stage": None,
    }


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
