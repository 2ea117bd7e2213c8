"""How are values written for people? The filters a template may use, and what any value goes through first."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from shared.contracts.evidence import Value

LONGEST_VALUE = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")


def tidy(value: Value) -> Value:
    """One line of limited length: somebody's name cannot add a paragraph to our mail."""
    return _CONTROL.sub(" ", value)[:LONGEST_VALUE] if isinstance(value, str) else value


def number(value: float) -> str:
    """1234.0 as 1,234; 0.25 as 0.25."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}".rstrip("0")


def percent(value: float) -> str:
    """0.834 as 83%."""
    return f"{value:.0%}"


def day(value: str) -> str:
    """2026-03-03 as 3 March 2026."""
    when = date.fromisoformat(value[:10])
    return f"{when.day} {when:%B %Y}"


def change(now: float, before: float) -> str:
    """12 after 10 as +20%; from nothing there is no percentage."""
    return f"{(now - before) / before:+.0%}" if before else f"+{number(now)}"


def plural(count: float, one: str, many: str) -> str:
    """1 seat, 2 seats."""
    return f"{number(count)} {one if count == 1 else many}"


def other(value: str, instead: str) -> str:
    """The value, or something instead where it is empty."""
    return value or instead


def whole(value: float) -> int:
    """Rounded to a whole number."""
    return round(value)


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "percent": percent,
    "day": day,
    "change": change,
    "plural": plural,
    "other": other,
    "whole": whole,
    "abs": abs,
}
TESTS = ("defined", "undefined", "none", "eq", "ne", "gt", "ge", "lt", "le", "==", "!=", ">", ">=", "<", "<=", "in")
