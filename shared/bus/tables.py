"""What does a service remember of the log? What it publishes, how far it has read, and what it could not take."""

from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Index, Integer, LargeBinary, MetaData, Table, Text, func

from shared.db.columns import Utc

metadata = MetaData()

log_end = Table(
    "log_end",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("next_off", BigInteger, nullable=False),
    Column("carried_off", BigInteger, nullable=False),
)
"""One row a partition we write. Its lock, held until commit, makes offsets contiguous in the order of the commits."""

log_block = Table(
    "log_block",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("base_off", BigInteger, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("block", LargeBinary, nullable=False),
    Column("appended_at", Utc, nullable=False),
)
"""The log itself: encoded, compressed records. Embedded it is read here; scaled out a relay carries it to Kafka."""

AT_ONCE_BYTES = 8 * 1024 * 1024
"""Most bytes of a partition's blocks, compressed, that are taken into memory at once; a single block may be larger."""


def bytes_before(**window: Any) -> ColumnElement[int]:
    """How many bytes the blocks before this one have, in the same window."""
    size = func.length(log_block.c.block)
    return func.sum(size).over(**window) - size


consumer_cursor = Table(
    "consumer_cursor",
    metadata,
    Column("grp", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("next_off", BigInteger, nullable=False),
    Column("next_seq", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("updated_at", Utc, nullable=False),
    Column("last_hash", LargeBinary),
)
"""How far a group has read. `last_hash`: `next_off` in eight bytes, and the fingerprint of the record before it."""

parked = Table(
    "parked",
    metadata,
    Column("id", Text, primary_key=True),
    Column("grp", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("part", Integer, nullable=False),
    Column("off", BigInteger, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("meta", LargeBinary, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("parked_at", Utc, nullable=False),
    Column("redriven_at", Utc),
    Index("parked_open", "grp", "parked_at"),
    Index("parked_about", "grp", "about"),
)
"""Records a person, or a later event, has to look at. `about` names what they wait for, where that is known."""

relay_lease = Table(
    "relay_lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("until", Utc, nullable=False),
)
