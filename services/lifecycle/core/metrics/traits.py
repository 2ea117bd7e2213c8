"""Metrics of the account's traits: trait, days_until. Traits come from group calls and from events that set them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from services.lifecycle.core.evaluation import Evaluation, Occurrence, in_utc
from services.lifecycle.core.findings import Findings
from services.lifecycle.core.metrics.kind import CompiledByName, CompiledMetric, MetricKind, Writer, scalar
from services.lifecycle.core.state import Account, TimestampedValue
from shared.contracts.evidence import Value
from shared.definitions import At, Mistake

MAX_TRAITS = 100
GROUP = "$group"
"""The class under which group calls stand as evidence."""


class Trait(MetricKind, frozen=True, tag="trait"):
    """A trait of the account, the latest value. A list counts as its length."""

    of: str

    def check(self, _find: Findings, _at: At) -> Iterator[Mistake]:
        """Any trait may come."""
        yield from ()

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        of = self.of

        def read(evaluation: Evaluation) -> Value:
            trait = evaluation.account.traits.get(of)
            return trait.value if trait else None

        stores = frozenset({trait_store(of)})
        return CompiledMetric(read, stores, (GROUP,), needs=stores, timed=False)


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
            at = _date(trait.value) if trait else None
            return float(at.toordinal() - evaluation.day) if at else None

        stores = frozenset({trait_store(of)})
        return CompiledMetric(read, stores, (GROUP,), needs=stores)


class GivenTrait(NamedTuple):
    """A trait as a group call or an event gives it."""

    name: str
    at: datetime
    value: object


def trait_store(name: str) -> str:
    """The store of a trait."""
    return f"trait:{name}"


def set_trait(account: Account, given: GivenTrait) -> bool:
    """Remember a trait, unless a later one is known. True when its value changed."""
    value, before = scalar(given.value), account.traits.get(given.name)
    if before is None and (value is None or len(account.traits) >= MAX_TRAITS):
        return False
    if before and before.at > given.at:
        return False
    account.traits[given.name] = TimestampedValue(given.at, value)
    return before is None or before.value != value


def trait_setter(trait: str, source: str) -> Writer:
    """Events that copy the property `source` into a trait."""

    def write(account: Account, occurrence: Occurrence) -> bool:
        properties = occurrence.properties
        return source in properties and set_trait(account, GivenTrait(trait, occurrence.at, properties[source]))

    return write


def _date(value: Value) -> datetime | None:
    """An ISO date or moment, or seconds since 1970."""
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return in_utc(at) if at.tzinfo else at.replace(tzinfo=UTC)
        return datetime.fromtimestamp(value, UTC) if isinstance(value, float) else None
    except (ValueError, OverflowError, OSError):
        return None
