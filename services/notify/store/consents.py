"""What did people decline, and when? For whoever asks: what decides stands in the account's state."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select, update

from services.notify.core.consent import EVERYTHING
from services.notify.tables import consent
from shared.contracts.outreach import ConsentChanged
from shared.db.protocol import Read, Tx

_c = consent.c


async def keep(tx: Tx, change: ConsentChanged, source: str) -> None:
    """What they said last, in place of what they said before. Who comes back to everything declines nothing any more."""
    if change.granted and change.topic == EVERYTHING:
        theirs = (_c.account == change.account, _c.user == change.user)
        await tx.run(update(consent).where(*theirs).values(granted=True, source=source, changed_at=change.at))
    row = {"account": change.account, "user": change.user, "topic": change.topic, "granted": change.granted}
    await tx.upsert(consent, [{**row, "source": source, "changed_at": change.at}])


async def listed(read: Read, user: str, account: str | None) -> Sequence[Row[Any]]:
    """Everything a person said, in this account or in all."""
    found = select(consent).where(_c.user == user)
    if account is not None:
        found = found.where(_c.account == account)
    return await read.all(found.order_by(_c.account, _c.topic))
