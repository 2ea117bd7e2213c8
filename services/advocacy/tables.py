"""Where does advocacy keep what it remembers?"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text

from shared.db.columns import Utc

metadata = MetaData()

account = Table(
    "advocacy_account",
    metadata,
    Column("id", Text, primary_key=True),
    Column("part", Integer, nullable=False),
    Column("clock", Utc, nullable=False),
    Column("next_due", Utc),
    Column("held", Boolean, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Index("advocacy_account_due", "part", "next_due"),
)
"""One row an account: `state` is all the core remembers. `next_due` is when time alone has something to do, `held` that an
import, not the wall clock, drives the account.
"""

invitation = Table(
    "advocacy_invitation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("closes_at", Utc, nullable=False),
    Column("history", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("outcome", Text),
    Column("outcome_reason", Text),
    Column("settled_at", Utc),
    Column("delivery", Text),
    Column("delivery_reason", Text),
    Index("advocacy_invitation_name", "name", "delivery"),
)
"""One row a person asked, for a survey or to refer others. `outcome` is what became of an ask (accepted, declined,
withdrawn), `delivery` what notify made of it: once sent it stays sent.
"""

answer = Table(
    "advocacy_answer",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("survey", Text, nullable=False),
    Column("survey_kind", Text, nullable=False),
    Column("score", Integer, nullable=False),
    Column("comment", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("stage", Text, nullable=False),
    Column("imported", Boolean, nullable=False),
    Column("history", Boolean, nullable=False),
    Index("advocacy_answer_survey", "survey", "at"),
)
"""One row a survey, recipient and occurrence: the invitation's id, overwritten until it closes."""

note = Table(
    "advocacy_note",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("kind", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("history", Boolean, nullable=False),
    Index("advocacy_note_at", "at", "id"),
)
"""What was due and not done, and why: a survey withheld, a fact that makes no sense, a code that somebody holds already."""

code = Table(
    "advocacy_code",
    metadata,
    Column("code", Text, primary_key=True),
    Column("account", Text),
    Column("user", Text),
    Column("issued_at", Utc),
    Column("body", LargeBinary),
    Index("advocacy_code_holder", "account", "user", unique=True),
)
"""One row a code that anybody named, held by somebody or not (yet): its lock orders all who judge by it."""

referrer = Table("advocacy_referrer", metadata, Column("account", Text, primary_key=True))
"""One row an account that holds a code: its lock is held while the month's rewards are counted."""

referral = Table(
    "advocacy_referral",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False, unique=True),
    Column("code", Text, nullable=False),
    Column("referrer", Text),
    Column("status", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("advocacy_referral_code", "code"),
)
"""One row a referred account. It changes only under the lock of its code."""

reward = Table(
    "advocacy_reward",
    metadata,
    Column("id", Text, primary_key=True),
    Column("referral", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("referrer", Text, nullable=False),
    Column("month", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("payable_at", Utc, nullable=False),
    Column("history", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("advocacy_reward_side", "referral", "side", unique=True),
    Index("advocacy_reward_cap", "referrer", "month"),
    Index("advocacy_reward_due", "status", "payable_at"),
)
"""What one side of a referral gets, once."""

ledger_entry = Table(
    "advocacy_ledger_entry",
    metadata,
    Column("transaction", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("reward", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Index("advocacy_ledger_entry_reward", "reward", "status", "account", unique=True),
)
"""One line of a transaction, minor units: a debit is positive, a credit negative. Append only; it sums to zero."""
