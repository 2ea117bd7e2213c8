"""when a referred account signed up, as a column: lists filter and sort by it"""

import sqlalchemy as sa
from alembic import context, op

from services.advocacy.store.referrals import REFERRALS
from shared.db.columns import Utc

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_PAGE = 500
_referral = sa.table(
    "advocacy_referral",
    sa.column("id", sa.Text()),
    sa.column("body", sa.LargeBinary()),
    sa.column("signed_up_at", Utc()),
)


def upgrade() -> None:
    op.add_column("advocacy_referral", sa.Column("signed_up_at", Utc()))
    if not context.is_offline_mode():  # a script of SQL cannot read bodies: there, a referral's next change fills it
        _fill()
    op.create_index("advocacy_referral_signed_up", "advocacy_referral", ["signed_up_at", "id"])


def _fill() -> None:
    connection, c, after = op.get_bind(), _referral.c, ""
    change = sa.update(_referral).where(c.id == sa.bindparam("of")).values({"signed_up_at": sa.bindparam("new_at")})
    page = sa.select(c.id, c.body).order_by(c.id).limit(_PAGE)
    while rows := connection.execute(page.where(c.id > after)).all():
        connection.execute(change, [{"of": row.id, "new_at": REFERRALS.decode(row.body).signup.at} for row in rows])
        after = rows[-1].id


def downgrade() -> None:
    op.drop_index("advocacy_referral_signed_up", table_name="advocacy_referral")
    op.drop_column("advocacy_referral", "signed_up_at")
