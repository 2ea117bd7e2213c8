"""Tables of advocacy: accounts, invitations and answers, notes, codes and referrals, rewards and their ledger."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, false

from shared.db.columns import Utc
from shared.service import journal

metadata = MetaData()

account = Table(
    "advocacy_account",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("clock", Utc, nullable=False),
    Column("next_due", Utc),
    Column("replaying", Boolean, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("journaled", Boolean, nullable=False, server_default=false()),
    Index("advocacy_account_due", "partition", "next_due"),
)
"""One row an account: `state` is all the core remembers. `next_due` is when time alone has something to do, `replaying`
that an import, not the wall clock, drives the account. `journaled`: the journal leads to this state.
"""

invitation = Table(
    "advocacy_invitation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("closes_at", Utc, nullable=False),
    Column("history", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("ask_status", Text),
    Column("ask_reason", Text),
    Column("resolved_at", Utc),
    Column("delivery_status", Text),
    Column("delivery_reason", Text),
    Index("advocacy_invitation_name", "name", "delivery_status"),
)
"""One row an invitation, to a survey or to refer others. `ask_status` is that of a request to refer others (null while it
is open), `delivery_status` what notify reported: once sent it stays sent.
"""

answer = Table(
    "advocacy_answer",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
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
    Column("account_id", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("kind", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("history", Boolean, nullable=False),
    Index("advocacy_note_at", "at", "id"),
)
"""What was due and not done, and why: a survey withheld, a fact that cannot be used, a code that somebody holds already."""

code = Table(
    "advocacy_code",
    metadata,
    Column("code", Text, primary_key=True),
    Column("account_id", Text),
    Column("user_id", Text),
    Column("issued_at", Utc),
    Column("body", LargeBinary),
    Index("advocacy_code_holder", "account_id", "user_id", unique=True),
)
"""One row a code that was issued or used, held by somebody or not (yet): its lock orders all who evaluate by it."""

referrer = Table("advocacy_referrer", metadata, Column("account_id", Text, primary_key=True))
"""One row an account that holds a code: its lock is held while the month's rewards are counted."""

referral = Table(
    "advocacy_referral",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False, unique=True),
    Column("code", Text, nullable=False),
    Column("referrer_id", Text),
    Column("status", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("signed_up_at", Utc),
    Index("advocacy_referral_code", "code"),
    Index("advocacy_referral_signed_up", "signed_up_at", "id"),
)
"""One row a referred account. It changes only under the lock of its code."""

reward = Table(
    "advocacy_reward",
    metadata,
    Column("id", Text, primary_key=True),
    Column("referral_id", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("referrer_id", Text, nullable=False),
    Column("month", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("payable_at", Utc, nullable=False),
    Column("history", Boolean, nullable=False),
    Column("needs_review", Boolean, nullable=False, server_default=false()),
    Column("body", LargeBinary, nullable=False),
    Index("advocacy_reward_side", "referral_id", "side", unique=True),
    Index("advocacy_reward_cap", "referrer_id", "month"),
    Index("advocacy_reward_due", "status", "payable_at"),
)
"""What one side of a referral gets, once. With `needs_review` it stays pending until a person approves it."""

ledger_entry = Table(
    "advocacy_ledger_entry",
    metadata,
    Column("transaction_id", Text, primary_key=True),
    Column("ledger_account", Text, primary_key=True),
    Column("reward_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Index("advocacy_ledger_entry_reward", "reward_id", "status", "ledger_account", unique=True),
)
"""One line of a transaction, minor units: a debit is positive, a credit negative. Append only; it sums to zero."""

JOURNAL = journal.tables("advocacy", metadata)
"""What every transaction that changed accounts, codes, referrals or rewards took."""
