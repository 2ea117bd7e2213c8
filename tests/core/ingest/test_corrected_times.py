"""Corrected times: counted by source, the latest shown, and no sender chooses how much is kept."""

from services.ingest.corrected_times import CorrectedTimes
from shared.service.saved_counts import MAX_KEYS, OTHER
from tests.core.ingest.make import event_of


def test_times_that_were_not_believed_are_counted_by_source() -> None:
    times = CorrectedTimes()
    times.count(
        [event_of(), event_of({"source": "app"}, timestamp=0), event_of(timestamp=0), event_of(timestamp="2199-01-01")]
    )
    assert [(row.key, row.times, row.latest.claimed_at) for row in times.counts.listed()] == [
        ("web", 2, "2199-01-01"),
        ("app", 1, "0"),
    ]
    [family] = times.collect()
    assert [(sample.labels["source"], sample.value) for sample in family.samples] == [("web", 2), ("app", 1)]


def test_sources_beyond_the_most_are_counted_together() -> None:
    times = CorrectedTimes()
    times.count(event_of({"source": f"s{number}"}, timestamp=0) for number in range(MAX_KEYS + 3))
    assert {row.key: row.times for row in times.counts.listed()}[OTHER] == 3
