"""Place counts: how many values this process passed over, by source, event and property, listed and as a metric.

Two kinds are counted so: values that it could not read, and untrusted claims. Counted in memory, since the process began:
a transaction that is tried twice counts twice, and a restart begins anew.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.counts import MAX_LABEL, OTHER, Count, LatestCounts

_MAX_EXAMPLE = 40

PassedOver = tuple[str, str, object]
"""A value that counts nowhere: the event class, the property, the value."""


class Place(NamedTuple):
    """Where a value stood: the source that sent it, the event class (or `$group`, `identify`), the property."""

    source: str
    event: str
    property: str


class PlaceCounts(Collector):
    """The counts, as a collector of Prometheus: `metric` is the name there, `meaning` its help."""

    def __init__(self, metric: str, meaning: str) -> None:
        self._metric = metric
        self._meaning = meaning
        self._found = LatestCounts[Place, str](Place(OTHER, OTHER, OTHER))

    def count(self, source: str, values: Iterable[PassedOver]) -> None:
        """Count these values of one source."""
        for event, name, value in values:
            place = Place(source[:MAX_LABEL], event[:MAX_LABEL], name[:MAX_LABEL])
            self._found.add(place, str(value)[:_MAX_EXAMPLE])

    def listed(self) -> Sequence[Count[Place, str]]:
        """Every place with the start of its latest value, the most frequent first."""
        return self._found.listed()

    def collect(self) -> Iterator[Metric]:
        """Prometheus: the counts."""
        labels = list(Place._fields)
        family = CounterMetricFamily(self._metric, self._meaning, labels=labels)
        for place, times, _ in self.listed():
            family.add_metric(list(place), times)
        yield family
