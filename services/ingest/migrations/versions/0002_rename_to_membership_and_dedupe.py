"""rename tables and columns: membership and dedupe"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = {
    "ingest_user": "ingest_membership",
    "ingest_window": "ingest_dedupe_week",
    "ingest_seen_even": "ingest_dedupe_even",
    "ingest_seen_odd": "ingest_dedupe_odd",
}
_COLUMNS = {"id": "user_id", "account": "account_id", "updated_at": "since"}


def upgrade() -> None:
    for old, new in _TABLES.items():
        _rename_table(old, new)
    for old, new in _COLUMNS.items():
        op.alter_column("ingest_membership", old, new_column_name=new)


def downgrade() -> None:
    for old, new in _COLUMNS.items():
        op.alter_column("ingest_membership", new, new_column_name=old)
    for old, new in _TABLES.items():
        _rename_table(new, old)


def _rename_table(old: str, new: str) -> None:
    op.rename_table(old, new)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER INDEX {old}_pkey RENAME TO {new}_pkey")
