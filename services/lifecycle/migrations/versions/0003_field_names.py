"""tables and columns by the field's names

Renames only: no row is written. SQLite cannot rename an index, so there they are made anew.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("lifecycle_account", "part", "partition"),
    ("lifecycle_account", "held", "replaying"),
    ("lifecycle_message", "account", "account_id"),
    ("lifecycle_stay", "account", "account_id"),
)
_TABLES = (("lifecycle_message", "lifecycle_decision"), ("lifecycle_stay", "lifecycle_stage_visit"))
_INDEXES = (
    ("lifecycle_decision", "lifecycle_message_kind", "lifecycle_decision_kind", ["kind", "at"]),
    ("lifecycle_stage_visit", "lifecycle_stay_stage", "lifecycle_stage_visit_stage", ["stage", "left_at"]),
)


def upgrade() -> None:
    for table, old, new in _COLUMNS:
        op.execute(f'ALTER TABLE {table} RENAME COLUMN "{old}" TO "{new}"')
    for old, new in _TABLES:
        op.rename_table(old, new)
        _rename_key(old, new)
    for table, old, new, columns in _INDEXES:
        _rename_index(table, old, new, columns)


def downgrade() -> None:
    for table, old, new, columns in _INDEXES:
        _rename_index(table, new, old, columns)
    for old, new in _TABLES:
        op.rename_table(new, old)
        _rename_key(new, old)
    for table, old, new in _COLUMNS:
        op.execute(f'ALTER TABLE {table} RENAME COLUMN "{new}" TO "{old}"')


def _rename_key(old: str, new: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER INDEX {old}_pkey RENAME TO {new}_pkey")


def _rename_index(table: str, old: str, new: str, columns: list[str]) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER INDEX {old} RENAME TO {new}")
    else:
        op.drop_index(old, table_name=table)
        op.create_index(new, table, columns)
