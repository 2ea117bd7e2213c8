"""Tables of lifecycle: accounts, decisions, visits of accounts to stages, notes, what was passed over, and early feedback."""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text, false

from shared.db.columns import Utc
from shared.service import journal
from shared.service.saved_counts import counts_table

metadata = MetaData()
MAX_LISTED = 80
"""Characters of an owner or a plan that lists show and filter by. PostgreSQL indexes no row of more than 2,700 bytes."""

account = Table(
    "lifecycle_account",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("entered_at", Utc, nullable=False),
    Column("flags", Text, nullable=False),
    Column("band", Text, nullable=False),
    Column("score", Float),
    Column("clock", Utc, nullable=False),
    Column("next_due", Utc),
    Column("replaying", Boolean, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("owner", Text),
    Column("plan", Text),
    Column("renewal_at", Utc),
    Column("search", Text, nullable=False, server_default=""),
    Column("journaled", Boolean, nullable=False, server_default=false()),
    Index("lifecycle_account_due", "partition", "next_due"),
    Index(
        "lifecycle_account_listed",
        *("stage", "band", "flags", "owner", "plan", "renewal_at", "score", "entered_at", "search", "id"),
    ),
)
"""One row an account: `state` is all the core remembers, the columns are what lists filter by.

`lifecycle_account_listed` has every column that lists filter, sort, search and count by: they read it instead of rows with
their states. `clock` moves with every event and stays out of it. `search` is the name without case. `flags` are words
between spaces (" at_risk stalled "). `next_due` is when time alone has something to do, `replaying` that
an import, not the wall clock, drives the account, and nothing said of its history has to settle: the timer is the row itself, so mark and effect commit together.
`journaled`: the journal leads to this state, from the account's first event or from its checkpoint.
"""

decision = Table(
    "lifecycle_decision",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("lifecycle_decision_kind", "kind", "at"),
)
"""Everything that was decided, with its evidence, as it was published (JSON). Append only."""

stage_visit = Table(
    "lifecycle_stage_visit",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("entered_at", Utc, nullable=False),
    Column("left_at", Utc),
    Column("next_stage", Text),
    Index("lifecycle_stage_visit_stage", "stage", "left_at"),
)
"""One row for each time an account entered a stage, `seq` that of the decision: what time in stage is counted from."""

account_note = Table(
    "lifecycle_account_note",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("at", Utc, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("author", Text, nullable=False),
    Column("text", Text, nullable=False),
)
"""What a person wrote about an account, by the wall clock; `author` is the name of the key that they used. Append only."""

passed_over = counts_table("lifecycle_passed_over", metadata)
"""How many values could not be read or believed, by place (`services/lifecycle/place_counts.py`)."""

early_feedback = Table(
    "lifecycle_early_feedback",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("event", LargeBinary, nullable=False),
    Column("kept_at", Utc, nullable=False),
)
"""Feedback of accounts that have not begun, as usage events (JSON): an account takes what is kept for it once it is there."""

JOURNAL = journal.tables("lifecycle", metadata)
"""What every transaction that changed accounts took: `waymark replay` makes accounts, decisions and visits of it once more."""
