"""How are accounts changed? Locked, decided about in memory, written once a transaction, with everything decided."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, select, update

from services.lifecycle.core.state import Account, decode_state, encode_state, next_due
from services.lifecycle.tables import account, message, stay
from shared.contracts.lifecycle import LifecycleMessage, StageChanged
from shared.db.protocol import Tx

PartOf = Callable[[str], int]
_c = account.c
_STATES = select(_c.id, _c.part, _c.state).with_for_update()
_STILL_OPEN = (stay.c.account == bindparam("of"), stay.c.left_at.is_(None), stay.c.seq < bindparam("by"))
_LEAVE = update(stay).where(*_STILL_OPEN).values(left_at=bindparam("at"), next_stage=bindparam("to"))
_encode = msgspec.json.Encoder().encode


class Listed(NamedTuple):
    """What lists filter by and timers wait for: an event seldom moves any of it."""

    part: int
    name: str
    stage: str
    entered_at: datetime
    flags: str
    band: str
    score: float | None
    next_due: datetime | None
    held: bool
    seq: int


class Held(NamedTuple):
    """Accounts locked until the transaction ends, new ones among them, and what stands in the rows of the others."""

    accounts: dict[str, Account]
    listed: dict[str, Listed]


async def locked(tx: Tx, ids: Collection[str]) -> Held:
    """Those of these that are known, locked in id order until the transaction ends."""
    held = Held({}, {})
    for row in await tx.among(_STATES, _c.id, ids):
        one = held.accounts[row.id] = decode_state(row.state)
        held.listed[row.id] = _listed(row.part, one)
    return held


async def keep(tx: Tx, part_of: PartOf, held: Held, decided: Sequence[LifecycleMessage]) -> None:
    """Write the accounts as they are now, and what was decided."""
    moved, only_state = [], []
    for one in held.accounts.values():
        row = {"id": one.id, "clock": one.clock, "state": encode_state(one)}
        listed = _listed(part_of(one.id), one)
        if held.listed.get(one.id) == listed:
            only_state.append(row)
        else:
            moved.append({**row, **listed._asdict()})
    await tx.upsert(account, moved)
    await tx.update(account, only_state)
    await tx.insert(message, [_message(one) for one in decided])
    await _enter(tx, [one for one in decided if isinstance(one, StageChanged)])


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


def _listed(part: int, one: Account) -> Listed:
    name, health = one.traits.get("name"), one.health
    shown = str(name.value) if name is not None and name.value is not None else one.id
    flags = f" {' '.join(sorted(one.flags))} "
    due = next_due(one)
    return Listed(part, shown, one.stage, one.entered_at, flags, health.band, health.score, due, one.held, one.seq)


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
