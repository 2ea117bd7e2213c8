"""membership by account: whether an account is known is asked for each post of a browser that names one"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_ingest_membership_account_id", "ingest_membership", ["account_id"])


def downgrade() -> None:
    op.drop_index("ix_ingest_membership_account_id", table_name="ingest_membership")
