"""Accounts of constant behaviour come to rest under the shipped definition: an edge and its way back leave a gap."""

import os
import random  # noqa: TID251  seeded: the number is the account
from datetime import timedelta
from typing import NamedTuple

import pytest

from services.lifecycle.core.fold import advance, fold
from services.lifecycle.core.state import begin
from shared.contracts.lifecycle import StageChanged
from shared.contracts.usage import UsageEvent
from tests.core.lifecycle.make import DECIDED, START, default_definition, event

ACCOUNTS = int(os.environ.get("CONSTANT_ACCOUNTS", "50"))
"""How many; `make verify` asks for more."""
DAYS, SETTLED = 730, 240
"""Days of each life, and of those the first in which an account may find its stage."""


class Behaviour(NamedTuple):
    """What an account does over and over, in days between: 0 is never."""

    use: int
    users: int
    value: int
    seats: int
    nps: int | None
    limit: float
    gated: int
    urgent_ticket: int


def behaviours(seed: int, count: int) -> list[Behaviour]:
    """Daily, weekly, monthly products and those in between, bought for few and for many."""
    pick = random.Random(seed).choice  # noqa: S311  not for secrets
    return [
        Behaviour(
            use=pick([1, 1, 2, 3, 5, 7, 7, 10, 14, 21, 28, 30, 30]),
            users=pick([1, 2, 3, 5, 8, 12]),
            value=pick([0, 1, 3, 7, 14, 28, 30, 60, 90]),
            seats=pick([0, 0, 1, 3, 4, 5, 8, 10, 12, 20, 40]),
            nps=pick([None, None, 3, 7, 9, 10]),
            limit=pick([0, 0, 0.5, 0.85, 0.95]),
            gated=pick([0, 0, 3, 7, 14, 30]),
            urgent_ticket=pick([0, 0, 5, 14, 30, 60]),
        )
        for _ in range(count)
    ]


def life(of: Behaviour) -> list[UsageEvent]:
    """Two years of it."""
    told: list[UsageEvent] = []

    def tell(day: int, name: str, user: str = "u0", hour: int = 1, **properties: object) -> None:
        told.append(event(name, START + timedelta(days=day, hours=hour), len(told), user=user, properties=properties))

    tell(0, "subscription_started", subscription_id="s1", **({"seats": of.seats} if of.seats else {}))
    for day in range(1, DAYS):
        for user in range(of.users if day % of.use == 0 else 0):
            tell(day, f"feature_used:{user % 4}", f"u{user}", hour=2)
        if of.value and day % of.value == 0:
            tell(day, "value_delivered", hour=3)
        if of.nps is not None and day % 90 == 89:
            tell(day, "nps_answered", hour=4, score=of.nps)
        if of.limit and day % 7 == 0:
            tell(day, "limit_measured", hour=5, share=of.limit)
        if of.gated and day % of.gated == 0:
            tell(day, "gated_feature_attempted:x", hour=6)
        if of.urgent_ticket and day % of.urgent_ticket == 0:
            tell(day, "ticket_opened", hour=7, ticket_id=day, priority="urgent")
        if of.urgent_ticket and day % of.urgent_ticket == 2:
            tell(day, "ticket_closed", hour=7, ticket_id=day - 2)
    return told


@pytest.mark.parametrize("part", range(5))
def test_who_does_the_same_for_two_years_comes_to_rest(part: int) -> None:
    compiled, restless = default_definition(), []
    for behaviour in behaviours(part, ACCOUNTS // 5):
        account, decided = begin("acme", START), []
        for each in life(behaviour):
            decided += fold(account, each, compiled, DECIDED)
        decided += advance(account, START + timedelta(days=DAYS), compiled, DECIDED)
        moves = [one for one in decided if isinstance(one, StageChanged) and one.at > START + timedelta(days=SETTLED)]
        if len(moves) > 1:
            restless.append((behaviour, len(moves), [one.stage for one in moves[-4:]]))
    assert not restless
