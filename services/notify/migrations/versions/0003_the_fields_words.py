"""the field's words: columns and tables are renamed, nothing is dropped"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = (
    ("notify_account", "part", "partition"),
    ("notify_account", "held", "replaying"),
    ("notify_delivery", "perhaps", "maybe_delivered"),
)


def upgrade() -> None:
    for table, old, new in COLUMNS:
        op.execute(f'ALTER TABLE {table} RENAME COLUMN "{old}" TO "{new}"')
    op.rename_table("notify_switch", "notify_outreach_mode")


def downgrade() -> None:
    op.rename_table("notify_outreach_mode", "notify_switch")
    for table, old, new in COLUMNS:
        op.execute(f'ALTER TABLE {table} RENAME COLUMN "{new}" TO "{old}"')
