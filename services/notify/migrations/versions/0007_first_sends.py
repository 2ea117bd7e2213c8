"""first sends: an installation that has sent more than fifty messages needs no approval of the first fifty"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

APPROVED_ALREADY = (
    "INSERT INTO notify_marker (name, value, at) SELECT 'first_sends', 'sent before', max(sent_at) "
    "FROM notify_delivery WHERE sent_at IS NOT NULL HAVING count(*) > 50"
)


def upgrade() -> None:
    op.execute(APPROVED_ALREADY)


def downgrade() -> None:
    op.execute("DELETE FROM notify_marker WHERE name = 'first_sends'")
