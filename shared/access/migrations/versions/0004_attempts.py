"""attempts at the console's keys, over all processes"""

import sqlalchemy as sa
from alembic import op

import shared.db.columns

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_attempt",
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Float(), nullable=False),
        sa.Column("at", shared.db.columns.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("network"),
    )


def downgrade() -> None:
    op.drop_table("access_attempt")
