"""Who is a customer of the demo company? An account, its people, and what it bought."""

from datetime import date
from typing import NamedTuple

from waymark.demo.market import Segment
from waymark.demo.persona import Persona


class Person(NamedTuple):
    """Somebody with a seat."""

    user: str
    name: str
    email: str
    role: str
    keen: float
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
    tempo: float
    timezone: str
    csm: str
    features: tuple[str, ...]
    people: tuple[Person, ...]
    referred_by: str = ""

    def weekday(self, day: int) -> int:
        """0 is Monday; `day` counts from sign-up."""
        return (self.signed_up.weekday() + day) % 7

    @property
    def subscription(self) -> str:
        return f"S-{self.number:03}"

    @property
    def code(self) -> str:
        """The referral code its champion passes on."""
        return f"DEMO{self.id.partition('-')[0][:10].upper()}{self.number}"
