"""How does a kind of customer behave? A persona is a row of a table: a curve of use, and beats on dates.

Days count from sign-up when they are positive and from the end when they are negative: 7 is a week after
signing up, -7 a week before the account's last day (its cancellation, or today).
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Literal, NamedTuple

Curve = tuple[tuple[int, float], ...]
"""Points (day, value), straight lines between them, flat outside."""

Draw = Callable[[Any], Any]
"""A property drawn when it is told: see `draws`."""

Speaker = Literal["champion", "admin", "anyone"]


class Beat(NamedTuple):
    """One thing that happens on a date, or again and again."""

    day: int
    event: str
    properties: Mapping[str, Any] = {}
    by: Speaker = "champion"
    every: int = 0
    """Days until it happens again; 0 is once."""
    times: int = 1000
    chance: float = 1.0
    jitter: int = 2
    after: int = 0
    """Days after `day`, when the beat follows another one of the same thread."""
    thread: str = ""
    """Beats of one thread throw the same dice: the closed ticket is the opened one."""


Beats = tuple[Beat, ...]


class Persona(NamedTuple):
    """A kind of customer. `tells` is what a reader should find in the console."""

    name: str
    tells: str
    accounts: int
    age: tuple[int, int]
    """Signed up that many days ago."""
    reach: Curve
    """Share of the bought seats in use, by days since sign-up."""
    beats: Beats
    fade: Curve = ((0, 1.0),)
    """What is left of that use, by days before the end."""
    pace: float = 1.25
    """Days a week on which a person works with the product."""
    features: int = 6
    value: float = 0.03
    """Share of use that delivers something countable."""
    makes: float = 0.24
    """Share of use that leaves a report or a shared dashboard."""
    sizes: tuple[int, int, int] = (6, 3, 1)
    """How often smb, mid, enterprise."""
    left: tuple[int, int] | None = None
    """Cancelled that many days ago."""
    reason: str = ""
    unpaid: tuple[int, ...] = ()
    """Invoices that fail: -1 is the latest."""
    recovers: bool = True
    tempo: tuple[float, float] = (0.8, 1.25)
    """Negative days are stretched by a factor from here, so that accounts do not move in step."""


def on(curve: Curve, day: float) -> float:
    """The curve's value on that day."""
    if day <= curve[0][0]:
        return curve[0][1]
    for (left, low), (right, high) in pairwise(curve):
        if day <= right:
            return low + (high - low) * (day - left) / (right - left)
    return curve[-1][1]
