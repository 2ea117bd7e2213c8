"""a parked record says where it stands in its producer's log: redriven, it is an input by that place"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dead_letter", sa.Column("sequence", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("dead_letter", "sequence")
