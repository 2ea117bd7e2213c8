"""Audit log: who did which administrative act, when, and from where. Rows are written with what they tell of, and never changed."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Row, func, or_, select

from shared.access.tables import access_audit
from shared.db.keyset import in_order
from shared.db.protocol import Read, Tx

Action = Literal[
    "session_started",
    "session_ended",
    "key_created",
    "key_changed",
    "key_rotated",
    "key_revoked",
    "mode_set",
    "sends_approved",
    "test_mail_sent",
    "delivery_redriven",
    "failures_redriven",
    "delivery_released",
    "play_released",
    "ceiling_released",
    "task_closed",
    "note_written",
    "consent_recorded",
    "suppressions_added",
    "suppression_removed",
    "reward_moved",
    "parked_redriven",
    "tables_migrated",
    "backup_made",
    "backup_restored",
    "database_moved",
]
"""Every act that leaves a record. A new resource that changes something adds its own."""


class Actor(NamedTuple):
    """Who acts: the name and id of the key, the session of the console (empty outside it), and the address it came from."""

    name: str
    key_id: str = ""
    session_id: str = ""
    address: str = ""


class AuditEntry(NamedTuple):
    """One act. `subject` is what was changed, an id or a name; `id` tells entries of one moment apart."""

    at: datetime
    actor: Actor
    action: Action
    subject: str
    details: Mapping[str, Any]
    id: str = ""


class AuditFilter(NamedTuple):
    """Which entries: those that match every filter given. `text` stands in who, what, on what or how, in whatever case."""

    action: str | None = None
    actor: str | None = None
    subject: str | None = None
    text: str | None = None
    since: datetime | None = None


_c = access_audit.c
SORTS: Mapping[str, ColumnElement[Any]] = {
    "at": _c.at,
    "actor": _c.actor,
    "action": _c.action,
    "subject": _c.subject,
}
"""What entries may be sorted by."""


async def record(tx: Tx, entry: AuditEntry) -> None:
    """Write it, in the transaction of the act where there is one."""
    row = {
        "at": entry.at,
        "id": secrets.token_hex(8),
        "actor": entry.actor.name,
        "key_id": entry.actor.key_id,
        "session_id": entry.actor.session_id,
        "address": entry.actor.address,
        "action": entry.action,
        "subject": entry.subject,
        "details": msgspec.json.encode(entry.details).decode(),
    }
    await tx.insert(access_audit, [row])


async def page(
    read: Read,
    wanted: AuditFilter,
    after: tuple[Any, str] | None,
    limit: int,
    by: str = "at",
    *,
    descending: bool = True,
) -> Sequence[AuditEntry]:
    """Entries in the order of one of SORTS, then of their ids; those behind this value and id."""
    found = select(access_audit).where(*_conditions(wanted))
    return [
        _entry(row)
        for row in await read.all(in_order(found, SORTS[by], _c.id, after, descending=descending).limit(limit))
    ]


async def count(read: Read, wanted: AuditFilter) -> int:
    """How many match."""
    return int(await read.scalar(select(func.count()).select_from(access_audit).where(*_conditions(wanted))))


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    exact = ((_c.action, wanted.action), (_c.actor, wanted.actor), (_c.subject, wanted.subject))
    found: list[ColumnElement[bool]] = [column == value for column, value in exact if value is not None]
    if wanted.since is not None:
        found.append(_c.at >= wanted.since)
    if wanted.text is not None:
        text, said = wanted.text.lower(), wanted.text.lower().replace(" ", "_")  # `task closed` is task_closed
        words = [func.lower(column).contains(text, autoescape=True) for column in (_c.actor, _c.subject, _c.details)]
        found.append(or_(func.lower(_c.action).contains(said, autoescape=True), *words))
    return found


def _entry(row: Row[Any]) -> AuditEntry:
    actor = Actor(row.actor, row.key_id, row.session_id, row.address)
    return AuditEntry(row.at, actor, row.action, row.subject, msgspec.json.decode(row.details), row.id)
