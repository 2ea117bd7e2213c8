"""Tables of the bus in each service's database: the log it publishes, its consumers' cursors, its dead letters, the layouts in use."""

from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Index, Integer, LargeBinary, MetaData, Table, Text, func

from shared.db.columns import Utc

metadata = MetaData()

log_end = Table(
    "log_end",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("relayed_offset", BigInteger, nullable=False),
)
"""One row a partition we write. Its lock, held until commit, makes offsets contiguous in the order of the commits."""

log_block = Table(
    "log_block",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("base_offset", BigInteger, primary_key=True),
    Column("record_count", Integer, nullable=False),
    Column("block", LargeBinary, nullable=False),
    Column("appended_at", Utc, nullable=False),
)
"""The log itself: encoded, compressed records. Embedded it is read here; scaled out a relay sends it to Kafka."""

READ_BYTES = 8 * 1024 * 1024
"""At most so many bytes of a partition's blocks, compressed, are read into memory; a single block may be larger."""


def bytes_before(**window: Any) -> ColumnElement[int]:
    """How many bytes the blocks before this one have, in the same window."""
    size = func.length(log_block.c.block)
    return func.sum(size).over(**window) - size


consumer_cursor = Table(
    "consumer_cursor",
    metadata,
    Column("consumer_group", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("next_sequence", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("updated_at", Utc, nullable=False),
    Column("last_fingerprint", LargeBinary),
)
"""How far a group has read. `last_fingerprint`: `next_offset` in eight bytes, and the fingerprint of the record before it."""

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", Text, primary_key=True),
    Column("consumer_group", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("meta", LargeBinary, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("waits_for", Text, nullable=False),
    Column("parked_at", Utc, nullable=False),
    Column("redriven_at", Utc),
    Column("sequence", BigInteger),
    Index("dead_letter_open", "consumer_group", "parked_at"),
    Index("dead_letter_waits_for", "consumer_group", "waits_for"),
)
"""Records that a person, or a later event, has to look at. `waits_for` is the id whose arrival redrives it, or empty.

`sequence` is the record's place in its producer's own log: -1 where it has none, None where it was parked before there was
the column.
"""

stored_layout = Table(
    "stored_layout",
    metadata,
    Column("name", Text, primary_key=True),
    Column("layout", Integer, nullable=False),
)
"""The highest layout in which a process that used this database wrote a column (`name`, as TABLE.COLUMN): older code refuses."""

relay_lease = Table(
    "relay_lease",
    metadata,
    Column("service", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("expires_at", Utc, nullable=False),
)
"""Which process runs a service's relay."""
