"""Who referred whom, what is it worth, and who lets it be paid?"""

from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query

from services.advocacy.core.ledger import Reward, RewardStatus, moved
from services.advocacy.core.referral import Code, Referral, Status
from services.advocacy.core.refusal import Refused as Forbidden
from services.advocacy.http.models import AdvocateView, Balance, EntryView, Ledger, Move, ReferralView, RewardView
from services.advocacy.http.places import Text, place
from services.advocacy.store import listing, rewards
from shared.failures import Refused
from shared.http.auth import allowed
from shared.http.paging import MOST, Page, cursor
from shared.service.context import ServiceContext

Cursor = Annotated[str | None, Query(alias="cursor", description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=MOST)]
_LEADS_TO: dict[Move, RewardStatus] = {"approve": "held", "pay": "paid", "reverse": "reversed"}


def router(context: ServiceContext) -> APIRouter:
    """The routes, beneath those that take a key."""
    routes = APIRouter(tags=["referrals"])

    @routes.get("/referrals")
    async def list_referrals(status: Status | None = None, at: Cursor = None, limit: Limit = 100) -> Page[ReferralView]:
        """Referred accounts with their rewards, by id."""
        start = place(at, Text)
        async with context.database.snapshot() as read:
            found = await listing.referrals(read, status, start[0] if start else "", limit + 1)
            worth = await listing.rewards_of(read, [one.id for one, _ in found[:limit]])
        items = [_referral(one, giver, worth[one.id]) for one, giver in found[:limit]]
        return Page(items=items, next=cursor([items[-1].id]) if len(found) > limit else None)

    @routes.get("/advocates")
    async def list_advocates(at: Cursor = None, limit: Limit = 100) -> Page[AdvocateView]:
        """People who hold a code, by code."""
        start = place(at, Text)
        async with context.database.snapshot() as read:
            found = await listing.advocates(read, start[0] if start else "", limit + 1)
        items = [_advocate(one, brought) for one, brought in found[:limit]]
        return Page(items=items, next=cursor([items[-1].code]) if len(found) > limit else None)

    @routes.get("/asks")
    async def count_asks() -> dict[str, int]:
        """How many people were asked to refer others, by what became of it: open, accepted, declined, withdrawn."""
        async with context.database.snapshot() as read:
            return await listing.asks(read)

    @routes.get("/ledger")
    async def ledger(at: Cursor = None, limit: Limit = 100) -> Ledger:
        """Every line of the double-entry ledger, a transaction's together, and what stands on each account."""
        start = place(at, Text, Text)
        async with context.database.snapshot() as read:
            rows = await listing.entries(read, start, limit + 1)
            balances = [Balance(**row._mapping) for row in await listing.balances(read)]  # noqa: SLF001
        items = [EntryView(**row._mapping) for row in rows[:limit]]  # noqa: SLF001
        following = cursor([items[-1].transaction, items[-1].account]) if len(rows) > limit else None
        return Ledger(items=items, next=following, balances=balances, sum=sum(one.amount for one in balances))

    @routes.post("/rewards/{reward}/{move}", dependencies=[Depends(allowed(context.keys, "admin"))])
    async def move_reward(reward: UUID, move: Move) -> RewardView:
        """Let a pending reward out of review (approve), note that a payable one was paid, or take one back (reverse)."""
        return _reward(await _moved(context, str(reward), _LEADS_TO[move]))

    return routes


async def _moved(context: ServiceContext, name: str, to: RewardStatus) -> Reward:
    async with context.database.transaction() as tx:
        known = await rewards.one(tx, name)
        if known is None:
            raise Refused(f"there is no reward '{name}'", "no_reward", 404)
        try:
            booking = moved(known, to, context.clock.now())
        except Forbidden as why:
            raise Refused(why.reason, "forbidden_move", 409) from None
        await rewards.book(tx, [booking])
    return booking.reward


def _referral(one: Referral, giver: str | None, worth: list[Reward]) -> ReferralView:
    return ReferralView(
        id=one.id,
        status=one.status,
        reason=one.reason,
        referrer=giver,
        referred=one.account,
        code=one.signup.code,
        signed_up_at=one.signup.at,
        converted_at=one.converted_at,
        rewards=[_reward(reward) for reward in worth],
    )


def _reward(one: Reward) -> RewardView:
    return RewardView.model_validate(msgspec.structs.asdict(one))


def _advocate(one: Code, brought: dict[str, int]) -> AdvocateView:
    return AdvocateView(
        account=one.account,
        user=one.user,
        code=one.code,
        issued_at=one.issued_at,
        imported=one.imported,
        referrals=brought,
    )
