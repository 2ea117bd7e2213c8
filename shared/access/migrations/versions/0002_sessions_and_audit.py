"""sessions of the console, and the audit log"""

import sqlalchemy as sa
from alembic import op

import shared.db.columns

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_session",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("key_check", sa.LargeBinary(), nullable=False),
        sa.Column("started_at", shared.db.columns.Utc(timezone=True), nullable=False),
        sa.Column("last_seen_at", shared.db.columns.Utc(timezone=True), nullable=False),
        sa.Column("ended_at", shared.db.columns.Utc(timezone=True), nullable=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("ix_access_session_key_id", "access_session", ["key_id"])
    op.create_table(
        "access_audit",
        sa.Column("at", shared.db.columns.Utc(timezone=True), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("at", "id"),
    )


def downgrade() -> None:
    op.drop_table("access_audit")
    op.drop_index("ix_access_session_key_id", table_name="access_session")
    op.drop_table("access_session")
