"""What does a metric consist of? A way to read it, and what events of its classes write for it."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from services.lifecycle.core.state import Account
from services.lifecycle.core.turn import Hit, Turn
from shared.contracts.evidence import Value

Read = Callable[[Turn], Value]
Writer = Callable[[Account, Hit], bool]
"""Folds a hit into the account. False when nothing that is read from there can have changed."""

_MOST = 1e15
"""Beyond this a product's number is a mistake: floats would no longer count by ones."""


class Write(NamedTuple):
    """Events `of` this class write to `store`; `make` gets the longest `keep` any metric on the store asks for."""

    of: str
    store: str
    make: Callable[[int], Writer]
    keep: int = 0
    properties: bool = False


class Part(NamedTuple):
    """A compiled metric.

    `stores` move it, `classes` are the events that can be shown as evidence for it. It is unknown as long as one of
    the stores it `needs` was never written. `timed`: midnight may move it.
    """

    read: Read
    stores: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ()
    writes: tuple[Write, ...] = ()
    needs: frozenset[str] = frozenset()
    timed: bool = True


def number(value: object) -> int | float | None:
    """A property as an amount: whole where it is whole, so that state stays small; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MOST <= value <= _MOST:
        return None
    return int(value) if value == int(value) else value


def scalar(value: object) -> Value:
    """A property as a metric's value: a list counts as its length, long text is cut, an object is unknown."""
    if value is None or isinstance(value, bool | str):
        return value[:200] if isinstance(value, str) else value
    if isinstance(value, list):
        return float(len(value))
    return float(value) if isinstance(value, int | float) and -_MOST <= value <= _MOST else None


def days_between(turn: Turn, since: datetime) -> float:
    """Calendar days from then to the account's today."""
    return float(turn.day - since.toordinal())
