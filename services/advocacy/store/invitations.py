"""Invitation repository: invitations and what became of them, the answers, and the notes on what was not done."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, select, update

from services.advocacy.core.decisions import (
    DELIVERY_REPORT,
    Answer,
    Decision,
    DeliveryReported,
    FactRejected,
    Invitation,
    InvitationClosed,
    ReversalRequired,
    ReviewRequired,
    SurveyWithheld,
)
from services.advocacy.core.referral import Code
from services.advocacy.tables import answer, invitation, note
from shared.contracts.advocacy import NoteKind
from shared.db.layouts import Layouts
from shared.db.protocol import Read, Tx
from shared.ids import derived

_i = invitation.c
INVITATIONS = Layouts(Invitation, 1)


async def save(tx: Tx, decisions: Sequence[Decision]) -> None:
    """Write the decisions about invitations and answers, in their order."""
    await tx.insert_new(invitation, [_invitation_row(each) for each in decisions if isinstance(each, Invitation)])
    await tx.upsert(answer, _latest_rows(each for each in decisions if isinstance(each, Answer)))
    notes = [each for each in decisions if isinstance(each, SurveyWithheld | FactRejected)]
    await tx.insert_new(note, [_note_of(each) for each in notes])
    for decision in decisions:
        if isinstance(decision, InvitationClosed):
            await _close(tx, decision)
        elif isinstance(decision, DeliveryReported):
            await _record_delivery(tx, decision)


async def add_note(
    tx: Tx, kind: NoteKind, decision: Code | ReversalRequired | ReviewRequired, about: str, reason: str
) -> None:
    """Note something that was not done."""
    await tx.insert_new(note, [_note_row(kind, decision, about, reason)])


async def load(read: Read, invitation_id: str) -> Invitation | None:
    """One invitation."""
    stored = await read.scalar(select(_i.body).where(_i.id == invitation_id))
    return None if stored is None else INVITATIONS.decode(stored)


async def load_answer(read: Read, invitation_id: str) -> Answer | None:
    """The answer to this invitation, as it is now."""
    row = await read.first(select(answer).where(answer.c.id == invitation_id))
    return None if row is None else answer_of(row)


async def _close(tx: Tx, closed: InvitationClosed) -> None:
    values = {"ask_status": closed.status, "ask_reason": closed.reason, "resolved_at": closed.at}
    await tx.run(update(invitation).where(_i.id == closed.id).values(values))


async def _record_delivery(tx: Tx, report: DeliveryReported) -> None:
    """The report of another step of the play may come later: the machine says whether it changes the status."""
    allowed = _i.delivery_status.is_(None) | _i.delivery_status.in_(sorted(DELIVERY_REPORT.before(report.status)))
    values = {"delivery_status": report.status, "delivery_reason": report.reason}
    await tx.run(update(invitation).where(_i.id == report.id, allowed).values(values))


def _invitation_row(invited: Invitation) -> dict[str, Any]:
    return {
        "id": invited.id,
        "purpose": invited.purpose,
        "name": invited.name,
        "account_id": invited.account,
        "user_id": invited.user,
        "at": invited.at,
        "closes_at": invited.closes_at,
        "history": invited.history,
        "body": INVITATIONS.encode(invited),
    }


def _latest_rows(answers: Iterable[Answer]) -> list[dict[str, Any]]:
    """One row an id: a statement cannot touch a row twice."""
    return list({each.id: _answer_row(each) for each in answers}.values())


def _answer_row(given: Answer) -> dict[str, Any]:
    row = msgspec.structs.asdict(given)
    return {"account_id": row.pop("account"), "user_id": row.pop("user"), **row}


def answer_of(row: Row[Any]) -> Answer:
    """An answer from its whole row."""
    columns = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's name for it
    return Answer(account=columns.pop("account_id"), user=columns.pop("user_id"), **columns)


def _note_of(decision: SurveyWithheld | FactRejected) -> dict[str, Any]:
    if isinstance(decision, SurveyWithheld):
        return _note_row("survey_withheld", decision, decision.name, f"{decision.cause}: {decision.reason}")
    return _note_row("fact_refused", decision, decision.event, f"{decision.fact}: {decision.reason}")


def _note_row(
    kind: NoteKind,
    decision: SurveyWithheld | FactRejected | Code | ReversalRequired | ReviewRequired,
    about: str,
    reason: str,
) -> dict[str, Any]:
    return {
        "id": derived("note", kind, decision.account, about, decision.at.isoformat(), reason),
        "account_id": decision.account,
        "at": decision.at,
        "kind": kind,
        "about": about,
        "reason": reason,
        "history": decision.history,
    }
