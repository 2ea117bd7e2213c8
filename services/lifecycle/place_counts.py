"""Place counts: how many values this process passed over, by source, event and property, listed and as a metric.

Two kinds are counted so: values that it could not read, and untrusted claims. Counted in memory, since the process began:
a transaction that is tried twice counts twice, and a restart begins anew.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

MAX_PLACES = 500
"""Places counted one by one; those past it are counted together, so that no sender chooses how much is kept."""
OTHER = "(other)"
_MAX_EXAMPLE = 40
_MAX_LABEL = 100


PassedOver = tuple[str, str, object]
"""A value that counts nowhere: the event class, the property, the value."""


class Place(NamedTuple):
    """Where a value stood: the source that sent it, the event class (or `$group`, `identify`), the property."""

    source: str
    event: str
    property: str


class PlaceCount(NamedTuple):
    """How often values at a place were passed over, and the start of the latest."""

    place: Place
    times: int
    example: str


class PlaceCounts(Collector):
    """The counts, as a collector of Prometheus: `metric` is the name there, `meaning` its help."""

    def __init__(self, metric: str, meaning: str) -> None:
        self._metric = metric
        self._meaning = meaning
        self._found: dict[Place, tuple[int, str]] = {}

    def count(self, source: str, values: Iterable[PassedOver]) -> None:
        """Count these values of one source."""
        for event, name, value in values:
            place = Place(source[:_MAX_LABEL], event[:_MAX_LABEL], name[:_MAX_LABEL])
            if place not in self._found and len(self._found) >= MAX_PLACES:
                place = Place(OTHER, OTHER, OTHER)
            before, _ = self._found.get(place, (0, ""))
            self._found[place] = (before + 1, str(value)[:_MAX_EXAMPLE])

    def listed(self) -> Sequence[PlaceCount]:
        """Every place, the most frequent first."""
        found = [PlaceCount(place, times, example) for place, (times, example) in self._found.items()]
        return sorted(found, key=lambda one: (-one.times, one.place))

    def collect(self) -> Iterator[Metric]:
        """Prometheus: the counts."""
        labels = list(Place._fields)
        family = CounterMetricFamily(self._metric, self._meaning, labels=labels)
        for place, times, _ in self.listed():
            family.add_metric(list(place), times)
        yield family
