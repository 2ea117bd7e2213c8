"""Model of the demo: what the company sells, how a kind of customer behaves (persona), and who the customers are.

Quayside sells shared dashboards and reports to operations teams of small and middling companies. It is invented.

Days of a persona count from sign-up when they are positive and from the end when they are negative: 7 is a week after
signing up, -7 a week before the account's last day (its cancellation, or today).
"""

from collections.abc import Callable, Mapping
from datetime import date
from itertools import pairwise
from random import Random  # noqa: TID251  the only randomness in Waymark, seeded
from typing import Any, Literal, NamedTuple

from shared.ids import derived


def dice(*cause: object) -> Random:
    """A seeded generator for this cause: one account's draws never change those of another."""
    return Random(derived("demo dice", *cause))  # noqa: S311  nothing here is secret


COMPANY = "Quayside"
CURRENCY = "USD"

FEATURES = (
    "dashboards",
    "reports",
    "alerts",
    "data_sync",
    "annotations",
    "scheduled_exports",
    "goals",
    "mobile",
)
REPORTS = ("weekly throughput", "late orders", "shift coverage", "cost per order", "backlog", "quality audit")
AUDIENCES = ("team", "management", "board", "partner")
VALUES = ("report automated", "incident avoided", "audit passed", "overtime saved")


class Segment(NamedTuple):
    """A size of customer: the plan it buys, the seats it needs, and how long it signs for."""

    name: str
    plan: str
    seats: tuple[int, int]
    price: int
    """Per seat and month."""
    term: int
    """Days until the subscription is renewed."""


SEGMENTS = (
    Segment("smb", "Starter", (4, 8), 29, 182),
    Segment("mid", "Growth", (7, 12), 45, 365),
    Segment("enterprise", "Scale", (14, 22), 62, 365),
)

CSMS = ("Maren Solheim", "Tobias Achterberg", "Nkechi Okonjo", "Paula Ferreira", "Jun Takeda")

TIMEZONES = {
    "Europe/London": 0,
    "Europe/Berlin": 1,
    "Europe/Helsinki": 2,
    "America/New_York": -5,
    "America/Chicago": -6,
    "America/Sao_Paulo": -3,
    "Asia/Singapore": 8,
}
"""Hours ahead of UTC, without summer time: offices open an hour early for half the year, and nobody minds."""


Curve = tuple[tuple[int, float], ...]
"""Points (day, value), straight lines between them, flat outside."""

PropertyGenerator = Callable[[Any], Any]
"""Draws the value of a property when the event happens: see `events`."""

Actor = Literal["champion", "admin", "anyone"]


class ScheduledEvent(NamedTuple):
    """An event on a date, or repeated."""

    day: int
    event: str
    properties: Mapping[str, Any] = {}
    actor: Actor = "champion"
    every: int = 0
    """Days until it happens again; 0 is once."""
    times: int = 1000
    chance: float = 1.0
    jitter: int = 2
    after: int = 0
    """Days after `day`, when it follows another event of the same thread."""
    thread: str = ""
    """Events of one thread draw from equal dice: the closed ticket is the opened one."""


Schedule = tuple[ScheduledEvent, ...]


class Persona(NamedTuple):
    """A kind of customer. `summary` is what a reader finds in the console."""

    name: str
    summary: str
    accounts: int
    age_days: tuple[int, int]
    """Signed up that many days ago."""
    seat_use: Curve
    """Share of the bought seats in use, by days since sign-up."""
    schedule: Schedule
    decline: Curve = ((0, 1.0),)
    """What is left of that use, by days before the end."""
    days_a_week: float = 1.25
    """Days a week on which a person works with the product."""
    features: int = 6
    value_share: float = 0.03
    """Share of use that delivers something countable."""
    creation_share: float = 0.24
    """Share of use that leaves a report or a shared dashboard."""
    segment_weights: tuple[int, int, int] = (6, 3, 1)
    """How often smb, mid, enterprise."""
    cancelled_days_ago: tuple[int, int] | None = None
    """Cancelled that many days ago."""
    reason: str = ""
    unpaid: tuple[int, ...] = ()
    """Invoices that fail: -1 is the latest."""
    recovers: bool = True
    time_scale: tuple[float, float] = (0.8, 1.25)
    """Negative days are stretched by a factor from here, so that accounts do not move in step."""


def value_at(curve: Curve, day: float) -> float:
    """The curve's value on that day."""
    if day <= curve[0][0]:
        return curve[0][1]
    for (left, low), (right, high) in pairwise(curve):
        if day <= right:
            return low + (high - low) * (day - left) / (right - left)
    return curve[-1][1]


class Person(NamedTuple):
    """A user with a seat."""

    user_id: str
    name: str
    email: str
    role: str
    activity: float
    """How much more, or less, than the average they use the product."""


class Account(NamedTuple):
    """A customer. `people` stand in the order in which they join; the first is the champion."""

    seed: int
    number: int
    id: str
    name: str
    persona: Persona
    segment: Segment
    seats: int
    signed_up: date
    last_day: int
    """Days from sign-up to its end: the cancellation, or yesterday."""
    time_scale: float
    timezone: str
    csm: str
    features: tuple[str, ...]
    people: tuple[Person, ...]
    referred_by_code: str = ""

    def weekday(self, day: int) -> int:
        """0 is Monday; `day` counts from sign-up."""
        return (self.signed_up.weekday() + day) % 7

    @property
    def subscription_id(self) -> str:
        return f"S-{self.number:03}"

    @property
    def referral_code(self) -> str:
        """The referral code its champion passes on."""
        return f"DEMO{self.id.partition('-')[0][:10].upper()}{self.number}"
