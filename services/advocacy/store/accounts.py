"""Account repository of advocacy: an account's state in a row, which is also its timer, and the layouts of that state."""

from typing import Any

from services.advocacy.core.account import Account
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.reducer import timer
from services.advocacy.store.referrals import rename_in_signup
from services.advocacy.tables import account
from shared.db.accounts import AccountRepository, PartitionOf
from shared.db.layouts import Layouts, renamed
from shared.db.protocol import Values

_rename_in_account = renamed(born="first_seen_at", sent="last_invitations")
_rename_in_contact = renamed(refused="unsubscribed_topics")
_rename_in_ask = renamed(settled_at="resolved_at")


def _field_names(plain: dict[str, Any]) -> dict[str, Any]:
    """Layout 2 has the field's names. `live` became its opposite, as the column has it: `replaying`."""
    plain = {"replaying": not plain.pop("live", False), **_rename_in_account(plain)}
    plain["contacts"] = {user: _rename_in_contact(contact) for user, contact in plain.get("contacts", {}).items()}
    plain["asks"] = [_rename_in_ask(ask) for ask in plain.get("asks", ())]
    return rename_in_signup(plain)


ACCOUNTS = Layouts(Account, 2, {1: _field_names})


def account_repository(definitions: Definitions, partition_of: PartitionOf) -> AccountRepository[Account]:
    """The accounts of advocacy. `partition_of` gives the partition of `lifecycle.v1` that an account is in."""

    def columns(state: Account) -> Values:
        return {"clock": state.clock, "next_due": timer(state, definitions), "replaying": state.replaying}

    return AccountRepository(account, ACCOUNTS, columns, lambda account_id: Account(id=account_id), partition_of)
