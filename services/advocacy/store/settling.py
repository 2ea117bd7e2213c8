"""Does a referral count now? Judged in the database, under locks in one order: codes, then referrers, then rewards.

The code and the account that used it live in different partitions: whoever comes second finds what the first one wrote.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Self

from services.advocacy.core.decisions import Decision, Published, ReversalDue
from services.advocacy.core.definitions import Referrals
from services.advocacy.core.ledger import NEXT, Booking, moved
from services.advocacy.core.referral import Code, Referral
from services.advocacy.core.settling import merged, month_of, settle
from services.advocacy.store import asked, referrals, rewards
from shared.db.protocol import Tx


class Settler:
    """Takes codes and referrals one after the other, as they were decided; gives what is to be published."""

    def __init__(self, tx: Tx, rules: Referrals, now: datetime, codes: dict[str, Code | None]) -> None:
        self._tx = tx
        self._rules = rules
        self._now = now
        self._codes = codes

    @classmethod
    async def holding(cls, tx: Tx, decisions: Iterable[Decision], rules: Referrals, now: datetime) -> Self:
        """With everything locked that these decisions touch."""
        about = [one for one in decisions if isinstance(one, Code | Referral)]
        codes = await referrals.hold_codes(tx, {_named(one) for one in about})
        givers = [one for one in about if isinstance(one, Code)] + [one for one in codes.values() if one]
        await referrals.hold_referrers(tx, {one.account for one in givers})
        return cls(tx, rules, now, codes)

    def free(self, one: Code) -> bool:
        """Whether nobody else holds the code."""
        holder = self._codes.get(one.code)
        return holder is None or (holder.account, holder.user) == (one.account, one.user)

    async def given_out(self, one: Code) -> list[Published]:
        """Somebody holds the code now: judge those who already came with it. The first holder keeps it."""
        if self._codes.get(one.code):
            if not self.free(one):
                await asked.remark(self._tx, "code_taken", one, one.code, "somebody else holds this code already")
            return []
        await referrals.issue(self._tx, one)
        self._codes[one.code] = one
        told: list[Published] = []
        for waiting in await referrals.of_code(self._tx, one.code):
            told += await self._judge(waiting)
        return told

    async def came(self, seen: Referral) -> list[Published]:
        """Something became known of a referred account."""
        return await self._judge(merged(await referrals.of_account(self._tx, seen.account), seen))

    async def _judge(self, row: Referral) -> list[Published]:
        code = self._codes[row.signup.code]
        so_far = await rewards.booked(self._tx, code.account, month_of(row)) if code else 0
        settled, decisions = settle(row, code, so_far, self._rules, self._now)
        await referrals.keep(self._tx, settled, code.account if code else None)
        await rewards.book(self._tx, [one for one in decisions if isinstance(one, Booking)])
        for due in decisions:
            if isinstance(due, ReversalDue):
                await self._reverse(due)
        return published(decisions)

    async def _reverse(self, due: ReversalDue) -> None:
        for reward in await rewards.of_referral(self._tx, due.referral):
            if "reversed" in NEXT[reward.status]:
                await rewards.book(self._tx, [moved(reward, "reversed", self._now)])
            elif reward.status == "paid":
                await asked.remark(self._tx, "paid_already", due, reward.id, due.reason)


def published(decisions: Sequence[Decision]) -> list[Published]:
    """What of these is a message."""
    return [one for one in decisions if isinstance(one, Published)]


def _named(one: Code | Referral) -> str:
    return one.code if isinstance(one, Code) else one.signup.code
