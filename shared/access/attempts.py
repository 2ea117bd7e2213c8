"""Attempts at the console's keys, over all processes: what is left to an address (its network) and to all together.

A row for each network that tried of late, and one for all. Whoever tries locks the row of all first, so there is no other order.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, select

from shared.access.tables import access_attempt
from shared.db.protocol import Tx

EVERYBODY = ""
"""The row of all together: no address is empty, and this one sorts before each."""
FULL = 1e9
"""More than any allowance: nobody tried yet."""
_FORGOTTEN_AFTER = timedelta(hours=1)
"""By then any allowance is whole again."""
_c = access_attempt.c


class Left(NamedTuple):
    """The attempts that were left at a time."""

    attempts: float
    at: datetime


async def lock(tx: Tx, network: str, now: datetime) -> dict[str, Left]:
    """What is left to the network, where it tried of late, and to all; both locked. What is of no account any more is removed."""
    rows = select(access_attempt).with_for_update()
    found = await tx.all(rows.where(_c.network == EVERYBODY))
    if not found:
        await tx.insert_new(access_attempt, [{"network": EVERYBODY, "attempts": FULL, "at": now}])
        found = await tx.all(rows.where(_c.network == EVERYBODY))
    await tx.run(delete(access_attempt).where(_c.at < now - _FORGOTTEN_AFTER, _c.network != EVERYBODY))
    own = await tx.all(rows.where(_c.network == network))
    return {row.network: Left(row.attempts, row.at) for row in [*found, *own]}


async def save(tx: Tx, left: Mapping[str, Left]) -> None:
    """What is left now, of locked rows."""
    rows = [{"network": network, "attempts": one.attempts, "at": one.at} for network, one in sorted(left.items())]
    await tx.upsert(access_attempt, rows)
