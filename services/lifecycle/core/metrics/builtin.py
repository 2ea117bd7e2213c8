"""What can be read of every account without being declared?"""

from services.lifecycle.core.definition.model import Definition
from services.lifecycle.core.metrics.part import Part, Read, days_between
from services.lifecycle.core.turn import Turn
from shared.expr import Expr

STAGE, FLAGS, MILESTONES, HEALTH, TIME = "stage", "flags", "milestones", "health", "time"
"""Stores that decisions write, or midnight, not events."""
MISSING = "required_milestones_missing"


def builtins(definition: Definition) -> dict[str, Part]:
    """The stage, the account's age, milestones, flags and health, under the names conditions use."""
    of = {name: (milestone.of,) if milestone.of else () for name, milestone in definition.milestones.items()}
    return {
        "stage": Part(lambda turn: turn.account.stage, frozenset({STAGE}), timed=False),
        "days_in_stage": Part(lambda turn: days_between(turn, turn.account.entered_at), frozenset({STAGE})),
        "tenure_days": Part(lambda turn: days_between(turn, turn.account.first_seen)),
        "days_since_progress": Part(_progress, frozenset({MILESTONES}), milestone_classes(definition)),
        "health_score": Part(lambda turn: turn.account.health.score, frozenset({HEALTH}), timed=False),
        "health_band": Part(lambda turn: turn.account.health.band, frozenset({HEALTH}), timed=False),
        "health_coverage": Part(lambda turn: turn.account.health.coverage, frozenset({HEALTH}), timed=False),
        **{f"{name}_reached": Part(_reached(name), frozenset({MILESTONES}), of[name], timed=False) for name in of},
        **{name: Part(_raised(name), frozenset({FLAGS}), timed=False) for name in definition.flags},
    }


def demands(definition: Definition) -> dict[str, Expr | None]:
    """The required milestones, each with the condition under which it is (None: always)."""
    required = {name: milestone.required for name, milestone in definition.milestones.items() if milestone.required}
    return {name: Expr(asked) if isinstance(asked, str) else None for name, asked in required.items()}


def missing(definition: Definition, inputs: list[Part]) -> Part:
    """How many required milestones are not reached."""
    asked = demands(definition)

    def read(turn: Turn) -> float:
        reached = turn.account.milestones
        return float(sum(name not in reached and _asks(demand, turn) for name, demand in asked.items()))

    stores = frozenset({MILESTONES}).union(*(part.stores for part in inputs))
    return Part(read, stores, milestone_classes(definition), timed=any(part.timed for part in inputs))


def milestone_classes(definition: Definition) -> tuple[str, ...]:
    """The event classes that reach milestones."""
    return tuple(dict.fromkeys(milestone.of for milestone in definition.milestones.values() if milestone.of))


def _asks(demand: Expr | None, turn: Turn) -> bool:
    return demand is None or demand.holds({name: turn[name] for name in demand.names})


def _progress(turn: Turn) -> float:
    """Days since the last milestone, or since the account was first seen."""
    return days_between(turn, max(turn.account.milestones.values(), default=turn.account.first_seen))


def _reached(name: str) -> Read:
    return lambda turn: name in turn.account.milestones


def _raised(name: str) -> Read:
    return lambda turn: name in turn.account.flags
