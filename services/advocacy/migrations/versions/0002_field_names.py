"""columns by the field's names

Renames only: no row is written. Indexes follow their columns.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("account", "part", "partition"),
    ("account", "held", "replaying"),
    ("invitation", "account", "account_id"),
    ("invitation", "user", "user_id"),
    ("invitation", "outcome", "ask_status"),
    ("invitation", "outcome_reason", "ask_reason"),
    ("invitation", "settled_at", "resolved_at"),
    ("invitation", "delivery", "delivery_status"),
    ("answer", "account", "account_id"),
    ("answer", "user", "user_id"),
    ("note", "account", "account_id"),
    ("code", "account", "account_id"),
    ("code", "user", "user_id"),
    ("referrer", "account", "account_id"),
    ("referral", "account", "account_id"),
    ("referral", "referrer", "referrer_id"),
    ("reward", "referral", "referral_id"),
    ("reward", "account", "account_id"),
    ("reward", "referrer", "referrer_id"),
    ("ledger_entry", "transaction", "transaction_id"),
    ("ledger_entry", "account", "ledger_account"),
    ("ledger_entry", "reward", "reward_id"),
)


def upgrade() -> None:
    for table, old, new in _COLUMNS:
        op.execute(f'ALTER TABLE advocacy_{table} RENAME COLUMN "{old}" TO "{new}"')


def downgrade() -> None:
    for table, old, new in reversed(_COLUMNS):
        op.execute(f'ALTER TABLE advocacy_{table} RENAME COLUMN "{new}" TO "{old}"')
