"""Whom did we ask, and what became of it? Rows of invitations, of answers, and of what was not done."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import or_, select, update

from services.advocacy.core.decisions import (
    Answer,
    Decision,
    Delivered,
    FactRefused,
    Invitation,
    InvitationClosed,
    Withheld,
)
from services.advocacy.tables import answer, invitation, note
from shared.db.protocol import Read, Tx
from shared.ids import derived

_i = invitation.c
_decode = msgspec.msgpack.Decoder(Invitation).decode
_encode = msgspec.msgpack.Encoder().encode


async def keep(tx: Tx, decisions: Sequence[Decision]) -> None:
    """Write what was decided about asking, in the order in which it was."""
    await tx.insert_new(invitation, [_invited(one) for one in decisions if isinstance(one, Invitation)])
    await tx.upsert(answer, _latest(one for one in decisions if isinstance(one, Answer)))
    await tx.insert_new(note, [_noted(one) for one in decisions if isinstance(one, Withheld | FactRefused)])
    for decision in decisions:
        if isinstance(decision, InvitationClosed):
            await _close(tx, decision)
        elif isinstance(decision, Delivered):
            await _deliver(tx, decision)


async def remark(tx: Tx, kind: str, decision: Any, about: str, reason: str) -> None:
    """Name something that was not done."""
    await tx.insert_new(note, [_note(kind, decision, about, reason)])


async def invited(read: Read, name: str) -> Invitation | None:
    """One invitation."""
    stored = await read.scalar(select(_i.body).where(_i.id == name))
    return None if stored is None else _decode(stored)


async def answered(read: Read, name: str) -> Answer | None:
    """The answer to this invitation, as it stands."""
    row = await read.first(select(answer).where(answer.c.id == name))
    return None if row is None else Answer(**row._mapping)  # noqa: SLF001  SQLAlchemy's name for it


async def _close(tx: Tx, one: InvitationClosed) -> None:
    values = {"outcome": one.status, "outcome_reason": one.reason, "settled_at": one.at}
    await tx.run(update(invitation).where(_i.id == one.id).values(values))


async def _deliver(tx: Tx, one: Delivered) -> None:
    """What was sent stays sent, whatever another step of the play tells later."""
    unsent = or_(_i.delivery.is_(None), _i.delivery != "sent")
    values = {"delivery": one.status, "delivery_reason": one.reason}
    await tx.run(update(invitation).where(_i.id == one.id, unsent).values(values))


def _invited(one: Invitation) -> dict[str, Any]:
    return {
        "id": one.id,
        "purpose": one.purpose,
        "name": one.name,
        "account": one.account,
        "user": one.user,
        "at": one.at,
        "closes_at": one.closes_at,
        "history": one.history,
        "body": _encode(one),
    }


def _latest(answers: Iterable[Answer]) -> list[dict[str, Any]]:
    """One row an id: a statement cannot touch a row twice."""
    fields = answer.c.keys()
    return list({one.id: {name: getattr(one, name) for name in fields} for one in answers}.values())


def _noted(one: Withheld | FactRefused) -> dict[str, Any]:
    if isinstance(one, Withheld):
        return _note("survey_withheld", one, one.name, f"{one.cause}: {one.reason}")
    return _note("fact_refused", one, one.event, f"{one.fact}: {one.reason}")


def _note(kind: str, one: Any, about: str, reason: str) -> dict[str, Any]:
    return {
        "id": derived("note", kind, one.account, about, one.at.isoformat(), reason),
        "account": one.account,
        "at": one.at,
        "kind": kind,
        "about": about,
        "reason": reason,
        "history": one.history,
    }
