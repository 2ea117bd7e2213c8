"""keys"""

import sqlalchemy as sa
from alembic import op

import shared.db.columns

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("origins", sa.Text(), nullable=False),
        sa.Column("rates", sa.Text(), nullable=False),
        sa.Column("created_at", shared.db.columns.Utc(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("rotates", sa.Text(), nullable=True),
        sa.Column("valid_until", shared.db.columns.Utc(timezone=True), nullable=True),
        sa.Column("revoked_at", shared.db.columns.Utc(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("ix_access_key_name", "access_key", ["name"])
    op.create_table(
        "access_key_use",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("last_used_at", shared.db.columns.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key_id"),
    )


def downgrade() -> None:
    op.drop_table("access_key_use")
    op.drop_index("ix_access_key_name", table_name="access_key")
    op.drop_table("access_key")
