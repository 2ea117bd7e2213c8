"""What does an event leave behind in the account, before anything is decided?"""

from datetime import datetime
from typing import Any

import msgspec

from services.lifecycle.core.metrics.part import scalar
from services.lifecycle.core.metrics.traits import GROUP, set_trait
from services.lifecycle.core.recent_events import remember
from services.lifecycle.core.router import ClassPlan, Way
from services.lifecycle.core.state import PackedEvent, Span
from services.lifecycle.core.turn import Hit, Turn
from shared.contracts.usage import UsageEvent
from shared.expr import Expr

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def left_behind(turn: Turn, event: UsageEvent, hit: Hit, latest: PackedEvent) -> tuple[list[ClassPlan], int]:
    """Fold a tracked event or a view into everything its classes keep: the classes that have something to say of it, and the bits of what moved."""
    account, route = turn.account, turn.plan.router.route(event)
    if route.properties:
        hit.properties = properties(event)
    announcing: list[ClassPlan] = []
    moved = 0
    for way in route.ways:
        plan = way.plan
        if plan.where is not None and not _fits(plan.where, hit):
            continue
        hit.feature = _named(way, hit) if way.feature is None else way.feature
        moved |= _span(account.spans, plan, hit)
        for bit, write in plan.writers:
            if write(account, hit):
                moved |= bit
        remember(account, plan.name, latest)
        if way.announces:
            announcing.append(plan)
    return announcing, moved


def traits_told(turn: Turn, traits: dict[str, Any], at: datetime, latest: PackedEvent) -> int:
    """A group call: the account's traits."""
    account, bits, moved = turn.account, turn.plan.bits, 0
    for name, value in traits.items():
        if set_trait(account, name[:100], at, value):
            moved |= bits.get(f"trait:{name}", 0)
    remember(account, GROUP, latest)
    return moved


def properties(event: UsageEvent) -> dict[str, Any]:
    """The customer's JSON; nothing, where it is no object."""
    try:
        return _decode(event.properties)
    except msgspec.DecodeError:
        return {}


def _span(spans: dict[str, Span], plan: ClassPlan, hit: Hit) -> int:
    """The class's first and last time; moves what reads days when the day is another."""
    span, at = spans.get(plan.name), hit.at
    if span is None:
        spans[plan.name] = Span(at, at)
        return plan.span
    if at >= span.last:
        moved = bool(plan.span) and hit.day != span.last.toordinal()
        span.last = at
    elif moved := at < span.first:
        span.first = at
    return plan.span if moved else 0


def _named(way: Way, hit: Hit) -> str:
    named = hit.properties.get(way.property)
    return named if isinstance(named, str) else ""


def _fits(where: Expr, hit: Hit) -> bool:
    return where.holds({name: scalar(hit.properties.get(name)) for name in where.names})
