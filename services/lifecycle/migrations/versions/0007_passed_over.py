"""passed over: how many values could not be read or believed, over restarts"""

import sqlalchemy as sa
from alembic import op

from shared.db.columns import Utc

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lifecycle_passed_over",
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("latest", sa.Text(), nullable=False),
        sa.Column("counted_at", Utc(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("lifecycle_passed_over")
