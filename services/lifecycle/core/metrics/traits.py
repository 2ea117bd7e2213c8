"""Metrics of the account's traits: trait, days_until. Traits come from group calls and from events that set them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, NamedTuple

from msgspec import field

from services.lifecycle.core.evaluation import Evaluation, Occurrence
from services.lifecycle.core.findings import Findings
from services.lifecycle.core.metrics.kind import (
    CompiledByName,
    CompiledMetric,
    MetricKind,
    TypedTrait,
    Writer,
    counts_days,
    scalar,
)
from services.lifecycle.core.possible_values import ANYTHING, NUMBER, Values
from services.lifecycle.core.state import Account, TimestampedValue, tie_of
from shared.contracts.evidence import Value
from shared.definitions import At, Mistake
from shared.values import read_number, read_time

MAX_TRAITS = 100
_FIRST_MOMENT = 1e8
GROUP = "$group"
"""The class under which group calls stand as evidence."""


class Trait(MetricKind, frozen=True, tag="trait"):
    """A trait of the account, the latest value. A list counts as its length.

    `as: number` reads a text ("25") as the number it writes; one that writes none is unknown.
    """

    of: str
    as_: Literal["number"] | None = field(default=None, name="as")

    def values(self) -> Values:
        return NUMBER if self.as_ else ANYTHING

    def check(self, _find: Findings, _at: At) -> Iterator[Mistake]:
        """Any trait may come."""
        yield from ()

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        of, is_number = self.of, self.as_ == "number"

        def read(evaluation: Evaluation) -> Value:
            trait = evaluation.account.traits.get(of)
            if trait is None:
                return None
            return _number(trait.value) if is_number else trait.value

        stores = frozenset({trait_store(of)})
        typed = (TypedTrait(of, _number_in),) if is_number else ()
        return CompiledMetric(read, stores, (GROUP,), needs=stores, timed=False, typed=typed)


class DaysUntil(MetricKind, frozen=True, tag="days_until"):
    """Calendar days until the date in a trait; negative once it is past."""

    of: str

    def check(self, _find: Findings, _at: At) -> Iterator[Mistake]:
        """Any trait may come."""
        yield from ()

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        of = self.of

        def read(evaluation: Evaluation) -> float | None:
            trait = evaluation.account.traits.get(of)
            at = date_in(trait.value) if trait else None
            return float(at.toordinal() - evaluation.day) if at else None

        stores = frozenset({trait_store(of)})
        typed = (TypedTrait(of, date_in),)
        return CompiledMetric(read, stores, (GROUP,), needs=stores, typed=typed, next_move=counts_days(read, -1))


def date_in(value: object) -> datetime | None:
    """The moment in a trait. A small number (or the length of a list) is no moment: as seconds it would lie before 1973."""
    return read_time(value) if isinstance(value, str) or _is_moment(value) else None


def _is_moment(value: object) -> bool:
    return isinstance(value, int | float) and value >= _FIRST_MOMENT


def _number_in(value: object) -> float | None:
    """As `_number`, of the value as it was sent."""
    return _number(scalar(value))


def _number(value: Value) -> float | None:
    if isinstance(value, float):  # as most are: a metric's number is a float
        return value
    number = read_number(value)
    return None if number is None else float(number)


class GivenTrait(NamedTuple):
    """A trait as a group call or an event gives it. `trusted`: no browser told it."""

    name: str
    at: datetime
    value: object
    tie: int
    trusted: bool = True


def trait_store(name: str) -> str:
    """The store of a trait."""
    return f"trait:{name}"


def set_trait(account: Account, given: GivenTrait) -> bool:
    """Remember a trait, unless a later one is known. True when its value changed.

    What a trusted source told no browser changes; what a browser told gives way to it, whichever is later. That there is
    none any more (null) is remembered too: an older value may come after it.
    """
    name, before = given.name, account.traits.get(given.name)
    told = TimestampedValue(given.at, scalar(given.value), given.tie)
    if before is None:
        if not _has_room(account, given, told.value):
            return False
        if not given.trusted:
            account.browser_traits.add(name)
    elif name in account.browser_traits and given.trusted:
        account.browser_traits.discard(name)
    elif (before.at, before.tie) >= (told.at, told.tie) or (not given.trusted and name not in account.browser_traits):
        return False
    account.traits[name] = told
    return (before.value if before else None) != told.value


def _has_room(account: Account, given: GivenTrait, value: Value) -> bool:
    """Whether one more trait fits; what is null, or a browser told, makes room for what a trusted source tells."""
    if len(account.traits) < MAX_TRAITS:
        return True
    if not given.trusted or value is None:
        return False
    empty = [name for name, trait in account.traits.items() if trait.value is None]
    forgotten = min(empty or account.browser_traits, default=None)
    if forgotten is None:
        return False
    account.browser_traits.discard(forgotten)
    del account.traits[forgotten]
    return True


def trait_setter(trait: str, source: str) -> Writer:
    """Events that copy the property `source` into a trait."""

    def write(account: Account, occurrence: Occurrence) -> bool:
        properties = occurrence.properties
        if source not in properties:
            return False
        return set_trait(account, GivenTrait(trait, occurrence.at, properties[source], tie_of(occurrence.id)))

    return write
