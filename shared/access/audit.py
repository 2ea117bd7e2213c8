"""Audit log: who did which administrative act, when, and from where. Rows are written with what they tell of, and never changed."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Row, and_, or_, select

from shared.access.tables import access_audit
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
    """Which entries: None takes all."""

    action: str | None = None
    actor: str | None = None
    subject: str | None = None


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
    read: Read, wanted: AuditFilter, before: tuple[datetime, str] | None, limit: int
) -> Sequence[AuditEntry]:
    """The latest first; those before this entry (its time and id)."""
    columns = access_audit.c
    statement = select(access_audit).order_by(columns.at.desc(), columns.id.desc()).limit(limit)
    for name, value in wanted._asdict().items():
        if value is not None:
            statement = statement.where(columns[name] == value)
    if before is not None:
        at, entry_id = before
        statement = statement.where(or_(columns.at < at, and_(columns.at == at, columns.id < entry_id)))
    return [_entry(row) for row in await read.all(statement)]


def _entry(row: Row[Any]) -> AuditEntry:
    actor = Actor(row.actor, row.key_id, row.session_id, row.address)
    return AuditEntry(row.at, actor, row.action, row.subject, msgspec.json.decode(row.details), row.id)
