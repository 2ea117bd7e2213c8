"""Accounts of notify, and what people consented to. Decisions read the account's state; the consent table is for lists."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, update

from services.notify.core.engine import next_due
from services.notify.core.state import EVERYTHING, LAYOUT, Account, from_layout_1
from services.notify.tables import account, consent
from shared.contracts.outreach import ConsentChanged
from shared.db.accounts import AccountRepository, PartitionOf
from shared.db.layouts import Layouts
from shared.db.protocol import Read, Tx, Values

LAYOUTS = Layouts(Account, LAYOUT, {1: from_layout_1})
Accounts = AccountRepository[Account]
_c = consent.c


class ConsentRecord(NamedTuple):
    """The latest consent of a person to a topic."""

    account: str
    user: str
    topic: str
    granted: bool
    source: str
    changed_at: datetime


def repository(partition_of: PartitionOf) -> Accounts:
    """The accounts. `partition_of` gives the partition of `lifecycle.v1` that holds an account's messages."""
    return AccountRepository(account, LAYOUTS, _columns, Account, partition_of)


async def save_consent(tx: Tx, change: ConsentChanged, source: str) -> None:
    """The latest consent replaces the earlier one. Coming back to everything takes back all that was declined."""
    if change.granted and change.topic == EVERYTHING:
        theirs = (_c.account == change.account, _c.user == change.user)
        await tx.run(update(consent).where(*theirs).values(granted=True, source=source, changed_at=change.at))
    record = ConsentRecord(change.account, change.user, change.topic, change.granted, source, change.at)
    await tx.upsert(consent, [record._asdict()])


async def consents_of(read: Read, user: str, account_id: str | None) -> list[ConsentRecord]:
    """Every consent of a person, in this account or in all."""
    found = select(*(_c[name] for name in ConsentRecord._fields)).where(_c.user == user)
    if account_id is not None:
        found = found.where(_c.account == account_id)
    return [ConsentRecord(*tuple(row)) for row in await read.all(found.order_by(_c.account, _c.topic))]


def _columns(state: Account) -> Values:
    return {"clock": state.clock, "next_due": next_due(state), "replaying": state.replaying}
