"""In whatever order events arrive, an account ends with the same metrics, traits, milestones, facts and contacts."""

import os
from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.lifecycle.core.activity import MAX_MEMBER_DAYS, ActiveMembers
from services.lifecycle.core.contacts import _shown
from services.lifecycle.core.explain import snapshot_of
from services.lifecycle.core.fold import advance, fold
from services.lifecycle.core.state import Account, begin
from services.lifecycle.layouts import LAYOUTS
from shared.contracts.lifecycle import ContactChanged, FactObserved, LifecycleMessage
from shared.contracts.usage import UsageEvent
from tests.core.lifecycle.make import DECIDED, START, default_definition, event

ORDERS = settings(max_examples=int(os.environ.get("ORDERS", "300")), deadline=None)
"""5,000 in `make verify`."""
DEFINITION = default_definition()
USERS = ("ann", "bob")
DECIDES = {"days_in_stage"}
"""What hangs on decisions, which are not taken anew."""


class Step(NamedTuple):
    """One event: when, what, who tells it of whom, with which number."""

    minutes: int
    kind: str
    user: str
    number: int
    trust: str


KINDS = (
    *("feature_used:a", "feature_used:b", "value_delivered", "user_removed", "identify", "group", "nps_answered"),
    *("ticket_opened", "ticket_closed", "invoice_failed", "invoice_paid", "subscription_started"),
    *("subscription_cancelled", "limit_measured", "champion_left", "champion_named", "seats_added", "user_invited"),
)
TIMES = st.one_of(
    st.integers(0, 3), st.integers(0, 60 * 24 * 100), st.sampled_from([60 * hours for hours in (9, 12, 15, 24, 36)])
)
STEPS = st.lists(
    st.builds(
        Step,
        minutes=TIMES,
        kind=st.sampled_from(KINDS),
        user=st.sampled_from(USERS),
        number=st.integers(0, 9),
        trust=st.sampled_from(["server", "server", "import", "browser"]),
    ),
    min_size=2,
    max_size=12,
)


def events(steps: list[Step]) -> list[UsageEvent]:
    """Many at the same instant, some of which say different things of the same."""
    return [_event(number, step) for number, step in enumerate(steps)]


def _event(number: int, step: Step) -> UsageEvent:
    at, n = START + timedelta(minutes=step.minutes), step.number
    common: dict[str, Any] = {"user": step.user, "trust": step.trust}
    if step.kind == "identify":
        drawn = {"email": f"{step.user}{n}@acme.example", "role": f"role {n}", "name": f"name {n}", "timezone": f"Z{n}"}
        traits = {name: value for bit, (name, value) in enumerate(drawn.items()) if n >> bit & 1}
        if n in {0, 3, 5}:
            traits["unsubscribed"] = n != 0
        return event("", at, number, type="identify", properties=traits, **common)
    if step.kind == "group":
        traits = {"seats": None if n == 0 else n, "plan": None if n == 1 else f"plan {n}", "industry": f"i{n % 3}"}
        traits = {name: value for bit, (name, value) in enumerate(traits.items()) if (n + 1) >> bit & 1}
        return event("", at, number, type="group", properties=traits, **common)
    told = {"score": n, "ticket_id": n % 2, "invoice_id": n % 2, "subscription_id": n % 2, "count": n / 10, "seats": n}
    told |= {
        "share": n / 10,
        "amount": n / 3,
        "priority": "urgent" if n > 5 else "low",
        "plan": None if n == 2 else "p",
    }
    if n == 7:
        told = {"user_id": "bob"}
    return event(step.kind, at, number, properties=told, **common)


def folded(of: list[UsageEvent]) -> tuple[Account, list[LifecycleMessage]]:
    account = begin("acme", of[0].at)
    return account, [one for each in of for one in fold(account, each, DEFINITION, DECIDED)]


def known(account: Account, decided: list[LifecycleMessage]) -> dict[str, Any]:
    """All that must not hang on the order."""
    shown = snapshot_of(account, DEFINITION)
    return {
        "clock": account.clock,
        "first_seen": account.first_seen,
        "metrics": {name: value for name, value in shown.metrics.items() if name not in DECIDES},
        "milestones": dict(sorted(shown.milestones.items())),
        "traits": dict(sorted(shown.traits.items())),
        "contacts": {user: _shown(contact) for user, contact in sorted(account.contacts.items())},
        "facts": sorted((one.fact, one.event, str(one.properties)) for one in decided if isinstance(one, FactObserved)),
        "told": told_of_people(decided),
        "members": {store: sorted(members(active, account)) for store, active in account.active_members.items()},
    }


def told_of_people(decided: list[LifecycleMessage]) -> dict[str, tuple[Any, ...]]:
    """What others know of each person who is there: the last that they were told."""
    last = {one.user: one for one in decided if isinstance(one, ContactChanged)}
    return {
        user: (one.email, one.name, one.role, one.timezone, one.unsubscribed)
        for user, one in sorted(last.items())
        if not one.gone
    }


def members(active: ActiveMembers, account: Account) -> Iterator[str]:
    """Who may still be in a window."""
    day = account.clock.toordinal()
    return (member for member, seen in active.members.items() if day - seen.last < MAX_MEMBER_DAYS)


@ORDERS
@given(steps=STEPS, data=st.data())
def test_the_order_of_arrival_changes_nothing_that_is_known(steps: list[Step], data: st.DataObject) -> None:
    orderly = sorted(events(steps), key=lambda each: (each.at, each.id))
    shuffled = data.draw(st.permutations(orderly))
    assert known(*folded(shuffled)) == known(*folded(orderly))


@ORDERS
@given(steps=STEPS, data=st.data(), days=st.integers(1, 80))
def test_nor_does_it_when_time_has_passed_since(steps: list[Step], data: st.DataObject, days: int) -> None:
    orderly = sorted(events(steps), key=lambda each: (each.at, each.id))
    shuffled = data.draw(st.permutations(orderly))
    ends = []
    for order in (orderly, shuffled):
        account, decided = folded(order)
        decided += advance(account, orderly[-1].at + timedelta(days=days), DEFINITION, DECIDED)
        if account.next_due is None:
            return
        ends.append(known(LAYOUTS.decode(LAYOUTS.encode(account)), decided))
    assert ends[0] == ends[1]


def at(hours: float, name: str, number: int, user: str = "ann", **more: Any) -> UsageEvent:
    return event(name, START + timedelta(hours=hours), number, user=user, **more)


CASES: dict[str, tuple[list[UsageEvent], dict[str, Any]]] = {
    "use before a removal": (
        [at(9, "feature_used", 1), at(24, "feature_used", 2, "bob"), at(33, "user_removed", 3)],
        {"active_users_28d": 1.0, "user_days_28d": 2.0},
    ),
    "removed and back on the same day": (
        [at(9, "feature_used", 1), at(12, "user_removed", 2), at(15, "feature_used", 3)],
        {"active_users_28d": 1.0, "user_days_28d": 1.0},
    ),
    "removed for good after another use that day": (
        [at(9, "feature_used", 1), at(10, "feature_used", 2), at(12, "user_removed", 3)],
        {"active_users_28d": 0.0, "user_days_28d": 1.0},
    ),
    "a trait that is no more": (
        [
            at(1, "", 1, type="group", properties={"seats": 5}),
            at(2, "", 2, type="group", properties={"seats": None}),
            at(3, "feature_used", 3),
        ],
        {"seats": None},
    ),
    "a ticket closed the moment it was opened": (
        [
            at(5, name, number, properties={"ticket_id": "t"})
            for number, name in enumerate(("ticket_opened", "ticket_closed"))
        ],
        {"open_tickets": 0.0},
    ),
    "a subscription without a number that takes another's place": (
        [at(5, name, number) for number, name in enumerate(("subscription_ended", "subscription_started"))],
        {"open_subscriptions": 1.0},
    ),
    "amounts that no binary fraction is": (
        [at(hour, "feature_used", hour, properties={"count": count}) for hour, count in ((1, 0.1), (2, 0.2), (3, 0.3))],
        {"core_events_7d": 0.6},
    ),
}


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.replace(" ", "-"))
def test_every_order_of_a_few_events_ends_alike(case: str) -> None:
    told, expected = CASES[case]
    for order in permutations(told):
        metrics = snapshot_of(folded(list(order))[0], DEFINITION).metrics
        assert {name: metrics[name] for name in expected} == expected


def test_a_no_that_was_said_before_a_removal_is_heard_after_it() -> None:
    no = at(1, "", 1, type="identify", properties={"unsubscribed": True})
    back = at(3, "", 3, type="identify", properties={"email": "ann@acme.example"})
    for order in permutations([no, at(2, "user_removed", 2), back]):
        account, decided = folded(list(order))
        assert account.contacts["ann"].unsubscribed
        assert told_of_people(decided)["ann"][-1]


def test_of_a_yes_and_a_no_at_one_instant_the_no_counts() -> None:
    said = [
        at(1, "", number, type="identify", properties={"email": "a@acme.example", "unsubscribed": number == 1})
        for number in (1, 2)
    ]
    for order in permutations(said):
        assert folded(list(order))[0].contacts["ann"].unsubscribed
