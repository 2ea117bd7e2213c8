"""a journal of what every transaction took; an account that is there already gets a checkpoint with its next change"""

import sqlalchemy as sa
from alembic import op

from shared.db.columns import Utc

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("advocacy_account", sa.Column("journaled", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "advocacy_journal",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text()),
        sa.Column("partition", sa.Integer()),
        sa.Column("first", sa.BigInteger()),
        sa.Column("end", sa.BigInteger()),
        sa.Column("until", Utc()),
        sa.Column("now", Utc(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("details", sa.LargeBinary()),
    )
    op.create_table(
        "advocacy_checkpoint",
        sa.Column("account_id", sa.Text(), primary_key=True),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "advocacy_definition",
        sa.Column("version", sa.Text(), primary_key=True),
        sa.Column("files", sa.LargeBinary(), nullable=False),
        sa.Column("first_used_at", Utc(), nullable=False),
    )


def downgrade() -> None:
    for table in ("advocacy_definition", "advocacy_checkpoint", "advocacy_journal"):
        op.drop_table(table)
    op.drop_column("advocacy_account", "journaled")
