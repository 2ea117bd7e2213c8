"""Consent handlers: what a person declined or came back to is recorded at once, once, and published."""

from datetime import datetime
from typing import NamedTuple

from services.notify import store
from services.notify.core.state import EVERYTHING, apply_consent
from services.notify.store import Accounts, save_consent
from shared.contracts.outreach import ConsentChanged
from shared.contracts.topics import OUTREACH
from shared.db.protocol import Tx
from shared.failures import Refused
from shared.ids import derived


class ConsentGiven(NamedTuple):
    """Consent to a topic given or refused (`*` is everything), and how it reached us."""

    account: str
    user: str
    topic: str
    granted: bool
    source: str


async def record_consent(tx: Tx, given: ConsentGiven, accounts: Accounts, now: datetime) -> bool:
    """Record it; False when it changes nothing. Raises Refused for an unknown account."""
    account = (await accounts.load_for_update(tx, {given.account})).get(given.account)
    if account is None:
        raise Refused(f"no account '{given.account}' has been seen", "no_account", 404)
    change = _change(given, now)
    after = apply_consent(account, change)
    if after == account:
        return False
    await accounts.save(tx, [after])
    await save_consent(tx, change, given.source)
    tx.emit(OUTREACH, [change])
    return True


async def unsubscribe(tx: Tx, delivery_id: str, accounts: Accounts, now: datetime, *, everything: bool) -> bool:
    """The recipient of this delivery unsubscribes; False when no such delivery went to anybody."""
    record = await store.load(tx, delivery_id)
    if record is None or record.user is None:
        return False
    topic = EVERYTHING if everything or not record.topic else record.topic
    given = ConsentGiven(record.account, record.user, topic, granted=False, source="link")
    await record_consent(tx, given, accounts, now)
    return True


def _change(given: ConsentGiven, now: datetime) -> ConsentChanged:
    return ConsentChanged(
        id=derived("consent", given.account, given.user, given.topic, given.granted, now.isoformat()),
        account=given.account,
        at=now,
        decided_at=now,
        user=given.user,
        topic=given.topic,
        granted=given.granted,
    )
