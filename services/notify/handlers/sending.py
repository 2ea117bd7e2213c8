"""What is true of a delivery on its way? Claimed by one sender at a time, asked about once more, and settled once.

pending -> sending (claimed, then data_sent) -> sent, failed, unknown; or back to pending after a pause.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import Row

from services.notify.core.planned import Planned
from services.notify.core.playbook import Playbook
from services.notify.core.policy import LAST_WORD, Verdict
from services.notify.core.settled import dropped, once_more, sent
from services.notify.core.state import Account
from services.notify.handlers.writing import recorded
from services.notify.store import accounts, deliveries
from services.notify.store.switch import Mode, read_switch
from shared.contracts.outreach import Status
from shared.contracts.topics import OUTREACH
from shared.db.protocol import Tx

LEASE = timedelta(minutes=5)
PAUSES = tuple(timedelta(minutes=m) for m in (1, 5, 30, 120))
"""How long to wait after each failed attempt; after the one behind the last it has failed."""
AT_ONCE = 4
"""How many conversations may be in doubt after a crash."""
_UNCONFIGURED = timedelta(minutes=5)

Became = Literal["accepted", "refused", "later", "again", "unknown"]
_REPEATED: frozenset[Became] = frozenset({"later", "again"})
_SETTLED: dict[Became, Status] = {
    "accepted": "sent",
    "refused": "failed",
    "unknown": "unknown",
    "later": "failed",
    "again": "failed",
}
_SPENT: frozenset[Status] = frozenset({"sent", "unknown"})
"""Ends that count against the person's budget, from now. Any other costs nothing, unless an attempt may have arrived."""
IN_DOUBT: Mapping[tuple[str, str], Became] = {
    ("email", "claimed"): "later",
    ("email", "data_sent"): "unknown",
    ("webhook", "claimed"): "later",
    ("webhook", "data_sent"): "again",
}
"""A sender did not come back: by channel and how far it got. A webhook's receiver knows a repeat by its id."""


class Claimed(NamedTuple):
    """A delivery that is ours to send now, and to whom."""

    row: Row[Any]
    email: str | None
    name: str


class Sending:
    """Runs one playbook. `missing` says, for each channel that is not set up, what to set.

    `lease` is how long a delivery stays with a sender that does not come back.
    """

    def __init__(
        self,
        book: Playbook,
        part_of: accounts.PartOf,
        first: Mode,
        missing: Mapping[str, str],
        lease: timedelta = LEASE,
    ) -> None:
        self._book = book
        self._part_of = part_of
        self._first = first
        self._missing = missing
        self._lease = lease

    async def claim(self, tx: Tx, now: datetime) -> tuple[int, list[Claimed]]:
        """How many were looked at, and those that go out now. In preview nothing does."""
        if (await read_switch(tx, self._first)).mode != "live":
            return 0, []
        rows = await deliveries.due(tx, now, AT_ONCE)
        known = await accounts.locked(tx, {row.account for row in rows})
        claimed = [await self._judge(tx, row, known, now) for row in rows]
        await accounts.keep(tx, self._part_of, known.values())
        return len(rows), [one for one in claimed if one is not None]

    async def last_word(self, tx: Tx, row: Row[Any], now: datetime) -> bool:
        """Whether it may go out: still ours, in time, and the person has not said no since it was claimed.

        True is the point of no return: from its commit on it may have arrived, and counts as a contact of now. The account
        stays locked until then, so that a no is taken before it and heeded, or after it. A sender that comes too late
        leaves it to whoever settles what was left behind: what was judged at the claim may no longer hold.
        """
        fresh = await deliveries.locked(tx, row.id)
        if fresh is None or (fresh.status, fresh.lease_epoch) != (row.status, row.lease_epoch):
            return False
        if fresh.lease_until <= now:
            return False
        known = await accounts.locked(tx, {row.account})
        planned = deliveries.decision(row)
        verdict = once_more(known[row.account], planned, now, self._book, LAST_WORD)
        if verdict.action == "skip":
            await self._skip(tx, row, planned, known, verdict, now)
        else:
            known[row.account] = sent(known[row.account], planned, now)
            await deliveries.change(tx, row, stage="data_sent")
        await accounts.keep(tx, self._part_of, known.values())
        return verdict.action != "skip"

    async def settle(self, tx: Tx, row: Row[Any], became: Became, now: datetime, detail: str, ref: str = "") -> bool:
        """Record what became of it; False when it is not ours any more."""
        perhaps = row.perhaps or became == "again"
        if became in _REPEATED and row.attempt <= len(PAUSES):
            return await self._put_off(tx, row, became, now, detail, perhaps=perhaps)
        status = _SETTLED[became]
        reason = "" if status == "sent" else became if became not in _REPEATED else "gave_up"
        values = {"status": status, "reason": reason, "detail": detail, "provider_ref": ref, "lease_until": None}
        if not await deliveries.change(tx, row, **values, sent_at=now if status == "sent" else None):
            return False
        known, planned = await accounts.locked(tx, {row.account}), deliveries.decision(row)
        if became == "again":
            known[row.account] = sent(known[row.account], planned, now)
        self._count(tx, planned, known, status, now, reason, perhaps=perhaps)
        await accounts.keep(tx, self._part_of, known.values())
        return True

    async def _put_off(
        self, tx: Tx, row: Row[Any], became: Became, now: datetime, detail: str, *, perhaps: bool
    ) -> bool:
        """Tried again after a pause; what may have arrived counts from now, however long the conversation took."""
        values = {"status": "pending", "detail": detail, "not_before": now + PAUSES[row.attempt - 1]}
        if not await deliveries.change(tx, row, **values, reason="try_again", lease_until=None, perhaps=perhaps):
            return False
        if became == "again":
            known = await accounts.locked(tx, {row.account})
            await accounts.keep(tx, self._part_of, [sent(known[row.account], deliveries.decision(row), now)])
        return True

    async def recover(self, tx: Tx, now: datetime) -> int:
        """Settle what a sender left behind that did not come back. How many there were."""
        rows = await deliveries.stranded(tx, now, AT_ONCE)
        for row in rows:
            became = IN_DOUBT[row.channel, row.stage]
            await self.settle(tx, row, became, now, f"the sender was lost after '{row.stage}'", row.provider_ref)
        return len(rows)

    async def _judge(self, tx: Tx, row: Row[Any], known: dict[str, Account], now: datetime) -> Claimed | None:
        planned = deliveries.decision(row)
        verdict = once_more(known[row.account], planned, now, self._book)
        if verdict.action == "skip":
            await self._skip(tx, row, planned, known, verdict, now)
            return None
        if row.channel in self._missing:
            verdict = Verdict("defer", detail=self._missing[row.channel], until=now + _UNCONFIGURED)
        if verdict.action == "defer":
            reason = verdict.reason or "not_configured"
            await deliveries.change(tx, row, reason=reason, detail=verdict.detail, not_before=verdict.until)
            return None
        known[row.account] = sent(known[row.account], planned, now)  # those claimed beside it see that it goes out now
        return await self._take(tx, row, known[row.account], now)

    async def _skip(
        self, tx: Tx, row: Row[Any], planned: Planned, known: dict[str, Account], verdict: Verdict, now: datetime
    ) -> None:
        """Decided against after all."""
        told = {"status": "skipped", "reason": verdict.reason, "detail": verdict.detail, "lease_until": None}
        await deliveries.change(tx, row, **told)
        self._count(tx, planned, known, "skipped", now, verdict.reason, perhaps=row.perhaps)

    async def _take(self, tx: Tx, row: Row[Any], account: Account, now: datetime) -> Claimed | None:
        who = account.contacts.get(row.user or "")
        email, name = (who.email, who.name or "") if who else (None, "")
        mine = {"status": "sending", "stage": "claimed", "lease_until": now + self._lease, "address": email}
        counted = {"attempt": row.attempt + 1, "lease_epoch": row.lease_epoch + 1, "reason": "", "detail": ""}
        await deliveries.change(tx, row, **mine, **counted)
        fresh = await deliveries.one(tx, row.id)
        return None if fresh is None else Claimed(fresh, email, name)

    @staticmethod
    def _count(
        tx: Tx,
        planned: Planned,
        known: dict[str, Account],
        status: Status,
        now: datetime,
        reason: str,
        *,
        perhaps: bool,
    ) -> None:
        """The budget as it truly is, and the others told. What may have arrived stays counted from its claim."""
        account = known[planned.account]
        if status in _SPENT:
            known[planned.account] = sent(account, planned, now)
        elif not perhaps:
            known[planned.account] = dropped(account, planned.id)
        tx.emit(OUTREACH, [recorded(planned, status, now, now, reason)])
