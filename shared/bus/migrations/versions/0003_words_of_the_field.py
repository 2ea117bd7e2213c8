"""words of the field: columns, a table and indexes renamed; nothing is dropped"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = {
    "log_end": {"part": "partition", "next_off": "next_offset", "carried_off": "relayed_offset"},
    "log_block": {"part": "partition", "base_off": "base_offset", "count": "record_count"},
    "consumer_cursor": {
        "grp": "consumer_group",
        "part": "partition",
        "next_off": "next_offset",
        "next_seq": "next_sequence",
        "last_hash": "last_fingerprint",
    },
    "dead_letter": {"grp": "consumer_group", "part": "partition", "off": "offset", "about": "waits_for"},
    "relay_lease": {"name": "service", "until": "expires_at"},
}
_INDEXES = (
    ("parked_open", ["grp", "parked_at"], "dead_letter_open", ["consumer_group", "parked_at"]),
    ("parked_about", ["grp", "about"], "dead_letter_waits_for", ["consumer_group", "waits_for"]),
)


def upgrade() -> None:
    op.rename_table("parked", "dead_letter")
    for table, columns in _COLUMNS.items():
        for old, new in columns.items():
            op.alter_column(table, old, new_column_name=new)
    for old, _, new, columns in _INDEXES:
        _rename_index(old, new, columns)


def downgrade() -> None:
    for table, columns in _COLUMNS.items():
        for old, new in columns.items():
            op.alter_column(table, new, new_column_name=old)
    for old, columns, new, _ in _INDEXES:
        _rename_index(new, old, columns)
    op.rename_table("dead_letter", "parked")


def _rename_index(old: str, new: str, columns: list[str]) -> None:
    """SQLite cannot rename an index: there it is made anew."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER INDEX {old} RENAME TO {new}")
    else:
        op.drop_index(old, table_name="dead_letter")
        op.create_index(new, "dead_letter", columns)
