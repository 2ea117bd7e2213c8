"""persons: what was refused and what was spent of the budget, by address; ceilings of all sends"""

import sqlalchemy as sa
from alembic import op

from shared.db.columns import Utc

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notify_person",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("spent", sa.Text(), nullable=False),
        sa.Column("first_mailed_at", Utc()),
        sa.Column("confirmed_at", Utc()),
    )
    op.create_table(
        "notify_suppression",
        sa.Column("person", sa.Text(), primary_key=True),
        sa.Column("topic", sa.Text(), primary_key=True),
        sa.Column("reason", sa.Text(), primary_key=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("at", Utc(), nullable=False),
    )
    op.create_index("notify_suppression_at", "notify_suppression", ["at", "person"])
    op.create_table(
        "notify_send_count",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("bucket", Utc(), primary_key=True),
        sa.Column("count", sa.Integer(), nullable=False),
    )
    op.create_table(
        "notify_ceiling",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("tripped_at", Utc()),
        sa.Column("until", Utc()),
        sa.Column("released_at", Utc()),
        sa.Column("released_by", sa.Text()),
    )
    op.create_table(
        "notify_marker",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
    )
    op.add_column("notify_delivery", sa.Column("person", sa.Text()))


def downgrade() -> None:
    op.drop_column("notify_delivery", "person")
    for table in ("notify_marker", "notify_ceiling", "notify_send_count", "notify_suppression", "notify_person"):
        op.drop_table(table)
