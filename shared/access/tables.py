"""Tables of access: issued keys and their last use, sessions of the console, attempts at signing in, and the audit log.

On PostgreSQL they stand in a schema of their own, `access`; on SQLite beside those of the services.
"""

from sqlalchemy import Column, Float, LargeBinary, MetaData, Table, Text, text

from shared.db.columns import Utc

metadata = MetaData()

access_key = Table(
    "access_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("origins", Text, nullable=False),
    Column("rates", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("rotates", Text),
    Column("valid_until", Utc),
    Column("revoked_at", Utc),
    Column("times", Text, nullable=False, server_default=text("'{}'")),
)
"""An issued key. `digest` is the SHA-256 of its text, which nobody keeps; `id` is public, and part of that text.

`name` is the source that its events are told by: two keys of one name are one source. `origins` (a JSON list) are those
that browsers may use it from, none meaning any; `rates` and `times` (JSON objects) what differs from the settings. `rotates`
is the key that it replaces.
"""

access_key_use = Table(
    "access_key_use",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("last_used_at", Utc, nullable=False),
)
"""When a key was last used, to the minute: issued ones and those of the settings, by their ids."""

access_session = Table(
    "access_session",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("key_id", Text, nullable=False, index=True),
    Column("key_check", LargeBinary, nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("last_seen_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
)
"""A session of the console. `digest` is the SHA-256 of its cookie, which only the browser has; `id` is public.

It is one of the key `key_id`, whose text `key_check` recognises (a keyed hash). `last_seen_at` is kept to the minute; `agent` is
what the browser calls itself.
"""

access_attempt = Table(
    "access_attempt",
    metadata,
    Column("network", Text, primary_key=True),
    Column("attempts", Float, nullable=False),
    Column("at", Utc, nullable=False),
)
"""The attempts at a key of the console that were left to a network at a time; the empty one stands for all together.

A row of a network that has not tried for an hour is removed.
"""

access_audit = Table(
    "access_audit",
    metadata,
    Column("at", Utc, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", Text, nullable=False),
)
"""One administrative act; rows are only ever added. `actor` is the name of the key, `session_id` the session of the console that it
was done in, or empty; `subject` what was changed (an id or a name), `details` a JSON object.
"""
