"""What do we know of the account itself? trait, days_until: from group traits and from events that set traits."""

from datetime import UTC, datetime

from services.lifecycle.core.definition.metrics import DaysUntil, Trait
from services.lifecycle.core.metrics.part import Part, scalar
from services.lifecycle.core.state import Account, TimestampedValue
from services.lifecycle.core.turn import Turn, in_utc
from shared.contracts.evidence import Value

MOST_TRAITS = 100
GROUP = "$group"
"""The class under which group calls stand as evidence."""


def trait(_: str, metric: Trait) -> Part:
    def read(turn: Turn) -> Value:
        told = turn.account.traits.get(metric.of)
        return told.value if told else None

    stores = frozenset({f"trait:{metric.of}"})
    return Part(read, stores, (GROUP,), needs=stores, timed=False)


def days_until(_: str, metric: DaysUntil) -> Part:
    def read(turn: Turn) -> float | None:
        told = turn.account.traits.get(metric.of)
        at = _date(told.value) if told else None
        return float(at.toordinal() - turn.day) if at else None

    stores = frozenset({f"trait:{metric.of}"})
    return Part(read, stores, (GROUP,), needs=stores)


def set_trait(account: Account, name: str, at: datetime, told: object) -> bool:
    """Remember a trait, unless a later one is known. True when its value changed."""
    value, known = scalar(told), account.traits.get(name)
    if known is None and (value is None or len(account.traits) >= MOST_TRAITS):
        return False
    if known and known.at > at:
        return False
    account.traits[name] = TimestampedValue(at, value)
    return known is None or known.value != value


def _date(value: Value) -> datetime | None:
    """An ISO date or moment, or seconds since 1970."""
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return in_utc(at) if at.tzinfo else at.replace(tzinfo=UTC)
        return datetime.fromtimestamp(value, UTC) if isinstance(value, float) else None
    except (ValueError, OverflowError, OSError):
        return None
