"""account notes: what people write about an account"""

import sqlalchemy as sa
from alembic import op

from shared.db.columns import Utc

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lifecycle_account_note",
        sa.Column("account_id", sa.Text(), primary_key=True),
        sa.Column("at", Utc(), primary_key=True),
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("lifecycle_account_note")
