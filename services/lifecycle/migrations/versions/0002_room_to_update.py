"""room to update

An account's row is written with every batch that touches it. With room in its page the new version stays there, and no
index has to hear of it.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE lifecycle_account SET (fillfactor = 60)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE lifecycle_account RESET (fillfactor)")
