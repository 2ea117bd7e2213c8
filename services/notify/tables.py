"""Tables of notify: account, what waits for its turn, delivery (the outbox), consent, persons and what they refused, ceilings, the outreach mode."""

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, false

from shared.db.columns import Utc

metadata = MetaData()

account = Table(
    "notify_account",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("clock", Utc),
    Column("next_due", Utc),
    Column("replaying", Boolean, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("owner", Text),
    Column("search", Text, nullable=False, server_default=""),
    Index("notify_account_due", "partition", "next_due"),
    Index("notify_account_listed", "owner", "search", "id"),
)
"""One row an account: `state` is all the core remembers. `owner` and `search` (the name without case) are for lists. `next_due` is when time alone has something to do, `replaying`
that an import, not the wall clock, drives the account.
"""

waiting = Table(
    "notify_waiting",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("request", Boolean, nullable=False),
    Column("since", Utc, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("notify_waiting_account", "account", "seq"),
)
"""Messages that an account cannot take yet (`core/order.py`): of lifecycle, and requests of advocacy.

`id` is the message's, `seq` its own, or that of the message which the request stands behind. `body` is the message, as its
topic has it. Rows go when they are taken.
"""

_FILTERED = ("status", "play", "channel", "history", "account")
delivery = Table(
    "notify_delivery",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("user", Text),
    Column("address", Text),
    Column("play", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("outreach_class", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("planned_at", Utc, nullable=False),
    Column("not_before", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("history", Boolean, nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("html", Text, nullable=False),
    Column("decision", LargeBinary, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("lease_epoch", Integer, nullable=False),
    Column("lease_until", Utc),
    Column("stage", Text, nullable=False),
    Column("maybe_delivered", Boolean, nullable=False, server_default=false()),
    Column("provider_ref", Text, nullable=False),
    Column("sent_at", Utc),
    Column("done_at", Utc),
    Column("person", Text),
    Column("outcome", Text, nullable=False, server_default=""),
    Column("done_by", Text, nullable=False, server_default=""),
    Index("notify_delivery_listed", "at", "id", *_FILTERED),
    Index("notify_delivery_status", "status", "at", "id", *_FILTERED[1:], "reason"),
    Index("notify_delivery_account", "account", "at"),
    Index("notify_delivery_waiting", "status", "not_before"),
)
"""One row a decision, sent or not. `id` is derived from what caused it: the same occurrence is never written twice.

`at` is the account's own time, `planned_at` the wall clock's. `decision` is what the core decided, whole (JSON with its
layout). `outcome` is what came of a task, in words, and `done_by` who closed it. `person` is whose budget it was claimed on: a key of `notify_person`. `stage` is how far the latest attempt got: claimed, or data_sent. `maybe_delivered`: an earlier attempt may have
arrived.
"""

consent = Table(
    "notify_consent",
    metadata,
    Column("account", Text, primary_key=True),
    Column("user", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("granted", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("changed_at", Utc, nullable=False),
    Index("notify_consent_user", "user"),
)
"""A person's latest consent to a topic, and its source (`link`, or `key:NAME`), for lists. Decisions read the account's state."""

person = Table(
    "notify_person",
    metadata,
    Column("id", Text, primary_key=True),
    Column("spent", Text, nullable=False),
    Column("first_mailed_at", Utc),
    Column("confirmed_at", Utc),
)
"""One row a person: `id` is the keyed hash of an address (or of a user id, whose row is only locked). `spent` are the contacts
that still count against the budget, over all accounts (JSON). Locked after the account, in the order of ids. Nothing writes
`confirmed_at` yet: nobody is asked to confirm an address.
"""

suppression = Table(
    "notify_suppression",
    metadata,
    Column("person", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("address", Text),
    Column("at", Utc, nullable=False),
    Index("notify_suppression_at", "at", "person"),
    Index("notify_suppression_source", "source"),
)
"""What a person refused, or why mail to them is pointless (`reason`): kept for ever, whatever becomes of contacts and accounts.

`topic` is `*` for everything. `source` is who told it; `address`, as long as nobody erased it, is for lists.
"""

send_count = Table(
    "notify_send_count",
    metadata,
    Column("name", Text, primary_key=True),
    Column("bucket", Utc, primary_key=True),
    Column("count", Integer, nullable=False),
)
"""How much a ceiling has let through in each piece of time."""

ceiling = Table(
    "notify_ceiling",
    metadata,
    Column("name", Text, primary_key=True),
    Column("tripped_at", Utc),
    Column("until", Utc),
    Column("released_at", Utc),
    Column("released_by", Text),
)
"""A ceiling that was reached, and who let sending go on."""

marker = Table(
    "notify_marker",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", Utc, nullable=False),
)
"""What was done once for these tables (`value` says how)."""

outreach_mode = Table(
    "notify_outreach_mode",
    metadata,
    Column("name", Text, primary_key=True),
    Column("mode", Text, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_at", Utc, nullable=False),
)
"""One row: whether deliveries leave (`live`) or are only shown (`preview`)."""
