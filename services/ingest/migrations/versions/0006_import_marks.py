"""import marks: how far each import came, so that a repeat of it is known for ever"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ingest_import_mark",
        sa.Column("source", sa.Text(), primary_key=True),
        sa.Column("import_id", sa.Text(), primary_key=True),
        sa.Column("stream", sa.Text(), primary_key=True),
        sa.Column("partition", sa.Integer(), primary_key=True),
        sa.Column("week", sa.Integer(), nullable=False),
        sa.Column("this_week", sa.BigInteger(), nullable=False),
        sa.Column("week_before", sa.BigInteger(), nullable=False),
        sa.Column("earlier", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("ingest_import_mark")
