"""What do we do when a person says no, or comes back? At once, once, and told to the others."""

from datetime import datetime
from typing import NamedTuple

from services.notify.core.consent import EVERYTHING, consented
from services.notify.store import accounts, consents, deliveries
from shared.contracts.outreach import ConsentChanged
from shared.contracts.topics import OUTREACH
from shared.db.protocol import Tx
from shared.failures import Refused
from shared.ids import derived


class Said(NamedTuple):
    """What a person said about a topic (`*` is everything), and how it reached us."""

    account: str
    user: str
    topic: str
    granted: bool
    source: str


async def say(tx: Tx, said: Said, part_of: accounts.PartOf, now: datetime) -> bool:
    """Take it; False when nothing changed by it. Raises Refused for an account nobody knows."""
    known = await accounts.locked(tx, {said.account})
    if said.account not in known:
        raise Refused(f"no account '{said.account}' has been seen", "no_account", 404)
    account, change = known[said.account], _change(said, now)
    after = consented(account, change)
    if after == account:
        return False
    await accounts.keep(tx, part_of, [after])
    await consents.keep(tx, change, said.source)
    tx.emit(OUTREACH, [change])
    return True


async def unsubscribe(tx: Tx, delivery: str, part_of: accounts.PartOf, now: datetime, *, everything: bool) -> bool:
    """The person who got this delivery wants no more; False when no such delivery went to anybody."""
    row = await deliveries.one(tx, delivery)
    if row is None or row.user is None:
        return False
    topic = EVERYTHING if everything or not row.topic else row.topic
    await say(tx, Said(row.account, row.user, topic, granted=False, source="link"), part_of, now)
    return True


def _change(said: Said, now: datetime) -> ConsentChanged:
    return ConsentChanged(
        id=derived("consent", said.account, said.user, said.topic, said.granted, now.isoformat()),
        account=said.account,
        at=now,
        decided_at=now,
        user=said.user,
        topic=said.topic,
        granted=said.granted,
    )
