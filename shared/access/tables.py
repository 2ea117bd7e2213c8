"""Tables of access: the keys that were issued, and when each key was last used.

On PostgreSQL they stand in a schema of their own, `access`; on SQLite beside those of the services.
"""

from sqlalchemy import Column, LargeBinary, MetaData, Table, Text

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
)
"""An issued key. `digest` is the SHA-256 of its text, which nobody keeps; `id` is public, and part of that text.

`name` is the source that its events are told by: two keys of one name are one source. `origins` (a JSON list) are those
that browsers may use it from, none meaning any; `rates` (a JSON object) what differs from the settings' rates. `rotates`
is the key that it replaces.
"""

access_key_use = Table(
    "access_key_use",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("last_used_at", Utc, nullable=False),
)
"""When a key was last used, to the minute: issued ones and those of the settings, by their ids."""
