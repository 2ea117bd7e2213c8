"""How do we say it? Decisions, values and times as a person writes them; whatever is missing reads as a dash."""

from collections.abc import Callable, Mapping
from typing import Any

_NOTHING = "\u2013"


def value(seen: Any) -> str:
    """A metric's or trait's value: 3, 0.83, yes, unknown."""
    if seen is None:
        return "unknown"
    if isinstance(seen, bool):
        return "yes" if seen else "no"
    if isinstance(seen, float):
        return f"{round(seen, 2):g}" if abs(seen) < 10_000 else f"{seen:,.0f}"
    return f"{seen:,}" if isinstance(seen, int) else str(seen)


def number(seen: Any) -> str:
    """A count or a figure of a table."""
    return value(seen) if isinstance(seen, int | float) and not isinstance(seen, bool) else _NOTHING


def money(minor: Any, currency: Any) -> str:
    """An amount of minor units."""
    return f"{minor / 100:,.2f} {currency or ''}".strip() if isinstance(minor, int) else _NOTHING


def whole(seen: Any) -> str:
    """A figure without its fraction."""
    return f"{seen:,.0f}" if isinstance(seen, int | float) else _NOTHING


def percent(share: Any) -> str:
    """A share of one, as percent."""
    return f"{share:.0%}" if isinstance(share, int | float) else _NOTHING


def words(name: Any) -> str:
    """`value_realization` as it is read aloud."""
    return str(name).replace("_", " ") if name else _NOTHING


def day(at: Any) -> str:
    """The day of a timestamp."""
    return at[:10] if isinstance(at, str) and at else _NOTHING


def moment(at: Any) -> str:
    """A timestamp to the minute, in UTC as everything here."""
    return at[:16].replace("T", " ") if isinstance(at, str) and at else _NOTHING


def decision(one: Mapping[str, Any]) -> str:
    """A lifecycle decision in a few words."""
    kind = str(one.get("kind") or "")
    told = _TOLD.get(kind)
    return told(one) if told else words(kind)


def _stage(one: Mapping[str, Any]) -> str:
    return f"{words(one.get('previous') or 'first seen')} → {words(one.get('stage'))}"


def _milestone(one: Mapping[str, Any]) -> str:
    corrected = ", corrected by a late event" if one.get("corrected") else ""
    return f"milestone {words(one.get('milestone'))}{corrected}"


def _contact(one: Mapping[str, Any]) -> str:
    return f"contact {one.get('name') or one.get('user')}{' left' if one.get('gone') else ''}"


_TOLD: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "stage_changed": _stage,
    "flag_changed": lambda one: f"{words(one.get('flag'))} {'raised' if one.get('raised') else 'cleared'}",
    "signal_raised": lambda one: f"signal {words(one.get('signal'))}",
    "milestone_reached": _milestone,
    "health_changed": lambda one: f"health {words(one.get('previous'))} → {words(one.get('band'))}",
    "contact_changed": _contact,
    "fact_observed": lambda one: f"fact {words(one.get('fact'))}",
    "clock_advanced": lambda one: "the wall clock takes over" if one.get("live") else "history ends here",
}
