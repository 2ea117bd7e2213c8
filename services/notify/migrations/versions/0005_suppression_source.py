"""suppressions by source: what followed a user id to other addresses is found when they come back"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("notify_suppression_source", "notify_suppression", ["source"])


def downgrade() -> None:
    op.drop_index("notify_suppression_source", table_name="notify_suppression")
