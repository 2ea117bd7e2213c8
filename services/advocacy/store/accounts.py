"""Account repository of advocacy: an account's state in a row, which is also its timer."""

from services.advocacy.core.account import Account
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.reducer import timer
from services.advocacy.store.layouts import ACCOUNTS
from services.advocacy.tables import account
from shared.db.accounts import AccountRepository, PartitionOf
from shared.db.protocol import Values

AdvocacyAccounts = AccountRepository[Account]


def account_repository(definitions: Definitions, partition_of: PartitionOf) -> AdvocacyAccounts:
    """The accounts of advocacy. `partition_of` gives the partition of `lifecycle.v1` that an account is in."""

    def columns(state: Account) -> Values:
        return {"clock": state.clock, "next_due": timer(state, definitions), "replaying": state.replaying}

    return AccountRepository(account, ACCOUNTS, columns, lambda account_id: Account(id=account_id), partition_of)
