"""messages that wait until it is their turn"""

import sqlalchemy as sa
from alembic import op

from shared.db.columns import Utc

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notify_waiting",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("request", sa.Boolean, nullable=False),
        sa.Column("since", Utc, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("notify_waiting_account", "notify_waiting", ["account", "seq"])


def downgrade() -> None:
    op.drop_table("notify_waiting")
