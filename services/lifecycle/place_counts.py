"""Place counts: how many values were passed over, by source, event and property, listed and as a metric.

Three kinds are counted so: values that could not be read, untrusted claims, and whole events that no event class matches. The list is saved, over all processes; the
metric is this process's own, since it began. A transaction that is tried twice counts twice.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.service.saved_counts import MAX_LABEL, OTHER, Kind, LatestCounts, SavedCounts

_MAX_EXAMPLE = 40

PassedOver = tuple[str, str, object]
"""A value that counts nowhere: the event class (of an unmatched event its own name), the property, the value."""


class Place(NamedTuple):
    """Where a value stood: the source that sent it, the event class (or `$group`, `identify`), the property."""

    source: str
    event: str
    property: str


UNREADABLE = Kind("unreadable", Place, str)
UNTRUSTED = Kind("untrusted", Place, str)
UNMATCHED = Kind("unmatched", Place, str)
"""As they are saved: by place, with the start of the latest value (of a whole event, of its account's id)."""


class PlaceCounts(Collector):
    """The counts, as a collector of Prometheus: `metric` is the name there, `meaning` its help."""

    def __init__(self, metric: str, meaning: str) -> None:
        self._metric = metric
        self._meaning = meaning
        self.counts = LatestCounts[Place, str](Place(OTHER, OTHER, OTHER))

    def count(self, source: str, values: Iterable[PassedOver], times: int = 1) -> None:
        """Count these values of one source, each so many times."""
        for event, name, value in values:
            place = Place(source[:MAX_LABEL], event[:MAX_LABEL], name[:MAX_LABEL])
            self.counts.add(place, str(value)[:_MAX_EXAMPLE], times)

    def collect(self) -> Iterator[Metric]:
        """Prometheus: the counts."""
        labels = list(Place._fields)
        family = CounterMetricFamily(self._metric, self._meaning, labels=labels)
        for place, times, _ in self.counts.listed():
            family.add_metric(list(place), times)
        yield family


class SavedPlaceCounts(NamedTuple):
    """Every kind, as it is saved."""

    unreadable: SavedCounts[Place, str]
    untrusted: SavedCounts[Place, str]
    unmatched: SavedCounts[Place, str]
