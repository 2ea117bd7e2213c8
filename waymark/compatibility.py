"""Compatibility: whether a newer version of Waymark has used this database, by the revisions of its tables and its layouts.

Revisions are in Alembic's version tables. The layouts in use are registered (`stored_layout`) by every process before it
writes; beside that a bounded number of rows is looked at, never a whole table.
"""

import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, func, inspect, select
from sqlalchemy.exc import DBAPIError

from services.advocacy import tables as advocacy
from services.advocacy.store.accounts import ACCOUNTS
from services.advocacy.store.invitations import INVITATIONS
from services.advocacy.store.referrals import CODES, REFERRALS, REWARDS
from services.lifecycle import tables as lifecycle
from services.lifecycle.layouts import LAYOUTS as LIFECYCLE_ACCOUNTS
from services.notify import tables as notify
from services.notify.core.delivery import LAYOUT as DECISION_LAYOUT
from services.notify.core.delivery import decision_layout
from services.notify.store import LAYOUTS as NOTIFY_ACCOUNTS
from shared.bus.tables import stored_layout
from shared.db.layouts import StoredLayout
from shared.db.migrations import run_locked
from shared.db.protocol import Read
from shared.settings import Settings
from shared.storage import ACCESS_SCHEMA
from waymark import migrations
from waymark.migrations import ADVICE, History, NewerDatabase, Revisions, access_history, revisions_of

LAYOUTS: dict[str, tuple[StoredLayout, ...]] = {
    "ingest": (),
    "lifecycle": (StoredLayout(lifecycle.account.c.state, LIFECYCLE_ACCOUNTS.current),),
    "notify": (
        StoredLayout(notify.account.c.state, NOTIFY_ACCOUNTS.current),
        StoredLayout(notify.delivery.c.decision, DECISION_LAYOUT, decision_layout),
    ),
    "advocacy": (
        StoredLayout(advocacy.account.c.state, ACCOUNTS.current),
        StoredLayout(advocacy.invitation.c.body, INVITATIONS.current),
        StoredLayout(advocacy.code.c.body, CODES.current),
        StoredLayout(advocacy.referral.c.body, REFERRALS.current),
        StoredLayout(advocacy.reward.c.body, REWARDS.current),
    ),
}
"""What each service stores in numbered layouts."""
_ROWS_AT_START, _ROWS_WHILE_RUNNING = 20_000, 2_000
_FRESH_SECONDS = 15.0
_HEAD_BYTES = 16
_s = stored_layout.c
_REGISTERED = select(_s.name, _s.layout)


def refuse_newer(settings: Settings, services: Iterable[str]) -> None:
    """Raises NewerDatabase where a newer version has used the database. Blocking."""
    of_keys = partial(_newer_there, [access_history()], ())
    found = run_locked(settings.database, ACCESS_SCHEMA, of_keys)
    found += [newer for service in services for newer in _newer(settings, service)]
    if found:
        raise NewerDatabase(found)


def migrate(settings: Settings, services: list[str]) -> None:
    """Bring these services' tables to the newest revision, unless a newer version has been there. Blocking."""
    refuse_newer(settings, services)
    migrations.migrate(settings, services)
    register_layouts(settings, services)


def register_layouts(settings: Settings, services: Iterable[str]) -> None:
    """Say which layouts this version writes, before it does. Blocking."""
    for service in services:
        if layouts := LAYOUTS.get(service):
            run_locked(settings.database, service, partial(_register, layouts))


def _register(layouts: Sequence[StoredLayout], connection: Connection) -> None:
    known = dict(connection.execute(_REGISTERED).all())
    for layout in layouts:
        if layout.name not in known:
            connection.execute(stored_layout.insert().values(name=layout.name, layout=layout.current))
        elif known[layout.name] < layout.current:
            named = stored_layout.update().where(_s.name == layout.name)
            connection.execute(named.values(layout=layout.current))


def _newer(settings: Settings, service: str) -> list[str]:
    if service not in migrations.OWNERS:
        return []
    histories = migrations.histories(service)
    return run_locked(settings.database, service, partial(_newer_there, histories, LAYOUTS.get(service, ())))


def _newer_there(histories: Sequence[History], layouts: Sequence[StoredLayout], connection: Connection) -> list[str]:
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    found: list[str] = []
    for history in histories:
        if history.version_table in there:
            found += Revisions.of(history).newer(connection.scalars(revisions_of(history)))
    if found:  # its tables may be others than we know
        return sorted(set(found))
    if stored_layout.name in there:
        found += _newer_registered(layouts, connection.execute(_REGISTERED).all())
    for layout in layouts:
        table = layout.column.table.name
        if table in there and layout.column.name in {column["name"] for column in inspector.get_columns(table)}:
            found += _newer_rows(layout, connection.scalars(_heads(layout, _ROWS_AT_START)))
    return sorted(set(found))


def _heads(layout: StoredLayout, rows: int) -> Select[Any]:
    """The first bytes of so many values, each once."""
    some = select(layout.column.label("value")).where(layout.column.is_not(None)).limit(rows).subquery()
    return select(func.substr(some.c.value, 1, _HEAD_BYTES)).distinct()


def _newer_registered(layouts: Sequence[StoredLayout], registered: Iterable[Any]) -> list[str]:
    highest = {row.name: row.layout for row in registered}
    return [_said(one, highest[one.name]) for one in layouts if highest.get(one.name, 0) > one.current]


def _newer_rows(layout: StoredLayout, heads: Iterable[bytes]) -> list[str]:
    highest = max(map(layout.read, map(bytes, heads)), default=0)
    return [_said(layout, highest)] if highest > layout.current else []


def _said(layout: StoredLayout, found: int) -> str:
    return f"{layout.name} has layout {found}, this version knows up to {layout.current}"


class VersionCheck:
    """What readyz says about one service's tables and layouts: asked anew each time, as others may migrate meanwhile."""

    def __init__(self, service: str, pending: Sequence[str]) -> None:
        """`pending`: the histories that lacked a revision when the process started; there may be no tables to ask."""
        self._pending = pending
        histories = migrations.histories(service) if service in migrations.OWNERS else []
        self._revisions = [Revisions.of(history) for history in histories]
        self._layouts = LAYOUTS.get(service, ())
        self._looked_at = -_FRESH_SECONDS
        self._rows: list[str] = []

    async def migrations(self, read: Read) -> str:
        """What is missing, or newer than this version knows; empty when all is well."""
        try:
            current = {one: {row[0] for row in await read.all(revisions_of(one.history))} for one in self._revisions}
        except DBAPIError:
            if not self._pending:
                raise
            return f"missing: {', '.join(self._pending)}; run: waymark migrate"
        newer = [found for one, revisions in current.items() for found in one.newer(revisions)]
        missing = [one.history.name for one, revisions in current.items() if one.known > revisions != {one.head}]
        said = [f"missing: {', '.join(missing)}; run: waymark migrate"] if missing else []
        return "; ".join([*newer, *([ADVICE] if newer else []), *said])

    async def layouts(self, read: Read) -> str:
        """The layouts that a newer version has written; empty when there are none."""
        if not self._layouts:
            return ""
        newer = _newer_registered(self._layouts, await read.all(_REGISTERED))
        if time.monotonic() - self._looked_at > _FRESH_SECONDS:
            self._looked_at = time.monotonic()
            self._rows = [found for layout in self._layouts for found in await _newer_in_rows(read, layout)]
        return "; ".join([*sorted({*newer, *self._rows}), ADVICE]) if newer or self._rows else ""


async def _newer_in_rows(read: Read, layout: StoredLayout) -> list[str]:
    return _newer_rows(layout, [row[0] for row in await read.all(_heads(layout, _ROWS_WHILE_RUNNING))])
