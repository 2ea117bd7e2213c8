"""What may an operator do with a delivery? Let a previewed one go, and close a task."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row

from services.notify.core.settled import closed
from services.notify.store import accounts, deliveries
from shared.db.protocol import Tx
from shared.failures import Refused

RELEASED = "released"


async def release(tx: Tx, name: str, now: datetime) -> None:
    """Let it go with the next sending. Raises Refused, saying why it cannot."""
    row = _found(await deliveries.locked(tx, name))
    if row.history:
        raise Refused("planned from imported history: it shows what would have been, and is never sent", "history", 409)
    if row.status != "previewed":
        raise Refused(f"it is {row.status}: only what is previewed can be released", "not_previewed", 409)
    if row.expires_at <= now:
        raise Refused(f"it expired at {row.expires_at.isoformat()}: late help is no help", "expired", 409)
    await _let_go(tx, row, now)


async def release_play(tx: Tx, play: str, now: datetime) -> int:
    """Let everything of a play go that still may. How many."""
    rows = [row for row in await deliveries.previewed(tx, play) if row.expires_at > now]
    for row in rows:
        await _let_go(tx, row, now)
    return len(rows)


async def done(tx: Tx, name: str, part_of: accounts.PartOf, now: datetime) -> None:
    """The task is done; closing it twice changes nothing. Raises Refused where it is no open task."""
    row = _found(await deliveries.locked(tx, name))
    if row.channel != "task" or row.status not in {"opened", "done"}:
        raise Refused(f"a {row.channel} that is {row.status} is no open task", "no_task", 409)
    if row.status == "done":
        return
    await deliveries.change(tx, row, status="done", done_at=now)
    known = await accounts.locked(tx, {row.account})
    await accounts.keep(tx, part_of, [closed(account, name) for account in known.values()])


async def _let_go(tx: Tx, row: Row[Any], now: datetime) -> None:
    await deliveries.change(tx, row, status="pending", reason=RELEASED, not_before=max(now, row.not_before))


def _found(row: Row[Any] | None) -> Row[Any]:
    if row is None:
        raise Refused("no such delivery", "no_delivery", 404)
    return row
