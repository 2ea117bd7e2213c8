"""What does an event say by itself, without any rule? Milestones, facts, people who left."""

from datetime import datetime
from typing import Any

from services.lifecycle.core.contacts import user_left
from services.lifecycle.core.metrics.builtin import MILESTONES
from services.lifecycle.core.metrics.part import scalar
from services.lifecycle.core.recent_events import shown
from services.lifecycle.core.router import ClassPlan
from services.lifecycle.core.state import PackedEvent
from services.lifecycle.core.tell import plain_evidence, snapshot, tell
from services.lifecycle.core.turn import Hit, Turn
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import FactObserved, MilestoneReached
from shared.contracts.usage import UsageEvent

MOST_PROPERTIES = 50


def announce(turn: Turn, plan: ClassPlan, event: UsageEvent, hit: Hit, latest: PackedEvent) -> int:
    """Everything this class's events announce. The bits of what that moved."""
    moved = 0
    for name in plan.milestones:
        known = turn.account.milestones.get(name)
        if known is None or hit.at < known:
            _reached(turn, name, hit.at, plan, latest, corrected=known is not None)
            moved = turn.plan.bits[MILESTONES]
    if plan.fact:
        told = _scalars(hit.properties)
        tell(turn, FactObserved, fact=plan.name, event=event.id, user=event.user, properties=told)
    if plan.removes:
        user_left(turn, _who_left(hit))
    return moved


def _reached(turn: Turn, name: str, at: datetime, plan: ClassPlan, latest: PackedEvent, *, corrected: bool) -> None:
    """The date of a milestone is the earliest ever seen: a late event moves it back, and that is told as a correction."""
    turn.account.milestones[name] = at
    turn.clear()
    first, when = shown(latest), f"{at:%Y-%m-%d}"
    reason = (
        f"A late event moves {name} back to {when}." if corrected else f"First {plan.name} on {when}: {first.name}."
    )
    tell(
        turn,
        MilestoneReached,
        milestone=name,
        reached_at=at,
        corrected=corrected,
        evidence=plain_evidence(turn, name, reason, [first]),
        snapshot=snapshot(turn),
    )


def _who_left(hit: Hit) -> str:
    """The person named in the event; an administrator who removes somebody is not the one who left."""
    named = hit.properties.get("user_id", hit.properties.get("userId"))
    return named if isinstance(named, str) and named else hit.user


def _scalars(properties: dict[str, Any]) -> dict[str, Value]:
    """The event's own properties, as far as they are scalars."""
    told = ((name, scalar(value)) for name, value in properties.items())
    return dict([(name, value) for name, value in told if value is not None][:MOST_PROPERTIES])
