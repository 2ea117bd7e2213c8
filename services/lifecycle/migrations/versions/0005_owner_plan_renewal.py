"""owner, plan, renewal and a text to search in, as columns; lists and counts from one index alone

An account's row carries its state. Lists that filter, sort, search or count read the index instead, and of the table only the
rows they show. It takes the place of two narrower ones.
"""

import sqlalchemy as sa
from alembic import context, op

from services.lifecycle.accounts import listed_traits
from services.lifecycle.layouts import LAYOUTS
from shared.db.columns import Utc

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_PAGE = 500
_LISTED = ["stage", "band", "flags", "owner", "plan", "renewal_at", "score", "entered_at", "search", "id"]
_account = sa.table(
    "lifecycle_account",
    sa.column("id", sa.Text()),
    sa.column("state", sa.LargeBinary()),
    sa.column("owner", sa.Text()),
    sa.column("plan", sa.Text()),
    sa.column("renewal_at", Utc()),
    sa.column("search", sa.Text()),
)


def upgrade() -> None:
    op.add_column("lifecycle_account", sa.Column("owner", sa.Text()))
    op.add_column("lifecycle_account", sa.Column("plan", sa.Text()))
    op.add_column("lifecycle_account", sa.Column("renewal_at", Utc()))
    op.add_column("lifecycle_account", sa.Column("search", sa.Text(), nullable=False, server_default=""))
    if not context.is_offline_mode():  # a script of SQL cannot read states: there, an account's next change fills them
        _fill()
    op.drop_index("lifecycle_account_counts", table_name="lifecycle_account")
    op.drop_index("lifecycle_account_stage", table_name="lifecycle_account")
    op.create_index("lifecycle_account_listed", "lifecycle_account", _LISTED)


def _fill() -> None:
    connection, c, after = op.get_bind(), _account.c, ""
    names = ("owner", "plan", "renewal_at", "search")
    change = sa.update(_account).where(c.id == sa.bindparam("of")).values({name: sa.bindparam(f"new_{name}") for name in names})
    page = sa.select(c.id, c.state).order_by(c.id).limit(_PAGE)
    while rows := connection.execute(page.where(c.id > after)).all():
        found = {row.id: listed_traits(LAYOUTS.decode(row.state)) for row in rows}
        connection.execute(
            change, [{"of": of, **{f"new_{name}": traits[name] for name in names}} for of, traits in found.items()]
        )
        after = rows[-1].id


def downgrade() -> None:
    op.drop_index("lifecycle_account_listed", table_name="lifecycle_account")
    op.create_index("lifecycle_account_stage", "lifecycle_account", ["stage", "id"])
    op.create_index("lifecycle_account_counts", "lifecycle_account", ["stage", "band", "flags"])
    for column in ("search", "renewal_at", "plan", "owner"):
        op.drop_column("lifecycle_account", column)
