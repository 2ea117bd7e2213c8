"""How are accounts changed? Locked together, decided about one at a time, written together with everything decided."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row, bindparam, select, update

from services.lifecycle.core.state import Account, decode_state, encode_state, next_due
from services.lifecycle.tables import account, message, stay
from shared.contracts.lifecycle import LifecycleMessage, StageChanged
from shared.db.protocol import Tx, Values

PartOf = Callable[[str], int]


class Decided(NamedTuple):
    """An account after its turn, and what was decided about it, in order."""

    account: Account
    messages: list[LifecycleMessage]


Decide = Callable[[str, Account | None], Decided | None]
"""Told an id, and the account where it is known; None leaves things as they are."""

_c = account.c
_STATES = select(_c.id, _c.part, _c.state).with_for_update()
_STILL_OPEN = (stay.c.account == bindparam("of"), stay.c.left_at.is_(None), stay.c.seq < bindparam("by"))
_LEAVE = update(stay).where(*_STILL_OPEN).values(left_at=bindparam("at"), next_stage=bindparam("to"))
_TURN = 0.05
"""Seconds of deciding before the others of this process get their turn."""
_encode = msgspec.json.Encoder().encode


async def change(tx: Tx, ids: Collection[str], part_of: PartOf, decide: Decide) -> list[LifecycleMessage]:
    """Lock these accounts until the transaction ends, decide about each, write what came of it: all that was decided.

    An account is read, decided about and written down while it is at hand in the processor's caches: all of them read
    first and written last cost two thirds more.
    """
    known = {row.id: row for row in await tx.among(_STATES, _c.id, ids)}
    now = asyncio.get_running_loop().time
    changes, began = _Changes(part_of), now()
    for name in sorted(ids):
        changes.one(name, known.get(name), decide)
        if now() - began > _TURN:
            await asyncio.sleep(0)
            began = now()
    await changes.write(tx)
    return changes.decided


def outline(one: Account) -> tuple[object, ...]:
    """Moves whenever anything moves that is listed: stage, flags and band only with a message, the score at midnight."""
    return one.seq, one.due, one.held, _name(one)


def listed(one: Account) -> Values:
    """What lists filter by and timers wait for."""
    return {
        "name": _name(one),
        "stage": one.stage,
        "entered_at": one.entered_at,
        "flags": f" {' '.join(sorted(one.flags))} ",
        "band": one.health.band,
        "score": one.health.score,
        "next_due": next_due(one),
        "held": one.held,
        "seq": one.seq,
    }


def _name(one: Account) -> str:
    told = one.traits.get("name")
    return str(told.value) if told is not None and told.value is not None else one.id


class _Changes:
    """Rows to write. Where nothing of what is listed moved, only state and clock are written: that touches no index."""

    def __init__(self, part_of: PartOf) -> None:
        self._part_of = part_of
        self._listed: list[Values] = []
        self._rest: list[Values] = []
        self.decided: list[LifecycleMessage] = []

    def one(self, name: str, row: Row[Any] | None, decide: Decide) -> None:
        before = decode_state(row.state) if row is not None else None
        stood = outline(before) if before is not None else None
        after = decide(name, before)
        if after is None:
            return
        one, part = after.account, self._part_of(name)
        self.decided += after.messages
        written = {"id": name, "clock": one.clock, "state": encode_state(one)}
        if row is not None and row.part == part and stood == outline(one):
            self._rest.append(written)
        else:
            self._listed.append({**written, **listed(one), "part": part})

    async def write(self, tx: Tx) -> None:
        await tx.upsert(account, self._listed)
        await tx.update(account, self._rest)
        await tx.insert(message, [_message(one) for one in self.decided])
        await _enter(tx, [one for one in self.decided if isinstance(one, StageChanged)])


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
