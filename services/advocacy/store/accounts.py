"""Account repository of advocacy: an account's state in a row, which is also its timer, and the layouts of that state."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import select, update

from services.advocacy.core.account import Account
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.reducer import timer
from services.advocacy.store.referrals import rename_in_signup
from services.advocacy.tables import account
from shared.db.accounts import AccountRepository, PartitionOf
from shared.db.layouts import Layouts, renamed
from shared.db.protocol import Tx, Values

_rename_in_account = renamed(born="first_seen_at", sent="last_invitations")
_rename_in_contact = renamed(refused="unsubscribed_topics")
_rename_in_ask = renamed(settled_at="resolved_at")


def _field_names(plain: dict[str, Any]) -> dict[str, Any]:
    """Layout 2 has the field's names. `live` became its opposite, as the column has it: `replaying`."""
    plain = {"replaying": not plain.pop("live", False), **_rename_in_account(plain)}
    plain["contacts"] = {user: _rename_in_contact(contact) for user, contact in plain.get("contacts", {}).items()}
    plain["asks"] = [_rename_in_ask(ask) for ask in plain.get("asks", ())]
    return rename_in_signup(plain)


_WAKE = 500
_SPREAD_DAYS = 90


async def wake_sleeping(tx: Tx, now: datetime) -> int:
    """Set a day for accounts that time had nothing to do for, some of them at a time: how many.

    So it is with those stored before a survey recurred. They are spread over the next quarter, by their ids: a whole fleet is
    not surveyed on the day of an upgrade.
    """
    c = account.c
    sleeping = select(c.id).where(c.next_due.is_(None), c.replaying.is_(False)).order_by(c.id).limit(_WAKE)
    ids = [row.id for row in await tx.all(sleeping)]
    for account_id in ids:
        days = 1 + int.from_bytes(sha256(account_id.encode()).digest()[:4]) % _SPREAD_DAYS
        row = update(account).where(c.id == account_id, c.next_due.is_(None))
        await tx.run(row.values(next_due=now + timedelta(days=days)))
    return len(ids)


ACCOUNTS = Layouts(Account, 2, {1: _field_names})


def account_repository(definitions: Definitions, partition_of: PartitionOf) -> AccountRepository[Account]:
    """The accounts of advocacy. `partition_of` gives the partition of `lifecycle.v1` that an account is in."""

    def columns(state: Account) -> Values:
        return {"clock": state.clock, "next_due": timer(state, definitions), "replaying": state.replaying}

    return AccountRepository(account, ACCOUNTS, columns, lambda account_id: Account(id=account_id), partition_of)
