"""early feedback: what notify and advocacy say of accounts that have not begun"""

import sqlalchemy as sa
from alembic import op

from shared.db.columns import Utc

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lifecycle_early_feedback",
        sa.Column("account_id", sa.Text(), primary_key=True),
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("event", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", Utc(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("lifecycle_early_feedback")
