"""counts of accounts by stage, band and flags, from an index alone"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("lifecycle_account_counts", "lifecycle_account", ["stage", "band", "flags"])


def downgrade() -> None:
    op.drop_index("lifecycle_account_counts", table_name="lifecycle_account")
