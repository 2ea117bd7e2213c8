"""lists: owner and name of accounts as columns, outcomes of tasks; pages and counts of deliveries from indexes alone

A delivery's row carries its texts. Lists that filter, sort or count read an index instead, and of the table only the rows they
show.
"""

import sqlalchemy as sa
from alembic import context, op

from services.notify.store import LAYOUTS, listed_traits

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_PAGE = 500
_account = sa.table(
    "notify_account",
    sa.column("id", sa.Text()),
    sa.column("state", sa.LargeBinary()),
    sa.column("owner", sa.Text()),
    sa.column("search", sa.Text()),
)


def upgrade() -> None:
    op.add_column("notify_account", sa.Column("owner", sa.Text()))
    op.add_column("notify_account", sa.Column("search", sa.Text(), nullable=False, server_default=""))
    op.add_column("notify_delivery", sa.Column("outcome", sa.Text(), nullable=False, server_default=""))
    op.add_column("notify_delivery", sa.Column("done_by", sa.Text(), nullable=False, server_default=""))
    if not context.is_offline_mode():  # a script of SQL cannot read states: there, an account's next change fills them
        _fill()
    op.create_index("notify_account_listed", "notify_account", ["owner", "search", "id"])
    op.drop_index("notify_delivery_at", table_name="notify_delivery")
    op.drop_index("notify_delivery_play", table_name="notify_delivery")
    op.create_index(
        "notify_delivery_listed", "notify_delivery", ["at", "id", "status", "play", "channel", "history", "account"]
    )
    op.create_index(
        "notify_delivery_status",
        "notify_delivery",
        ["status", "at", "id", "play", "channel", "history", "account", "reason"],
    )


def _fill() -> None:
    connection, c, after = op.get_bind(), _account.c, ""
    new = {"owner": sa.bindparam("new_owner"), "search": sa.bindparam("new_search")}
    change = sa.update(_account).where(c.id == sa.bindparam("of")).values(new)
    page = sa.select(c.id, c.state).order_by(c.id).limit(_PAGE)
    while rows := connection.execute(page.where(c.id > after)).all():
        found = [(row.id, listed_traits(LAYOUTS.decode(row.state))) for row in rows]
        connection.execute(
            change, [{"of": of, "new_owner": of_it["owner"], "new_search": of_it["search"]} for of, of_it in found]
        )
        after = rows[-1].id


def downgrade() -> None:
    op.drop_index("notify_delivery_status", table_name="notify_delivery")
    op.drop_index("notify_delivery_listed", table_name="notify_delivery")
    op.create_index("notify_delivery_play", "notify_delivery", ["play", "status"])
    op.create_index("notify_delivery_at", "notify_delivery", ["at", "id"])
    op.drop_index("notify_account_listed", table_name="notify_account")
    op.drop_column("notify_delivery", "done_by")
    op.drop_column("notify_delivery", "outcome")
    op.drop_column("notify_account", "search")
    op.drop_column("notify_account", "owner")
