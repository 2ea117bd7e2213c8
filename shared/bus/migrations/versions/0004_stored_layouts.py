"""the layouts in use are registered: older code finds out before it reads a row"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stored_layout",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("layout", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("stored_layout")
