"""Counts of values that were passed over stay bounded, whatever is sent."""

from services.lifecycle.core.evaluation import UnreadableValue
from services.lifecycle.place_counts import PlaceCounts
from shared.service.saved_counts import MAX_KEYS, OTHER


def test_the_most_frequent_place_comes_first_with_its_latest_example() -> None:
    found = PlaceCounts("passed_over", "Values")
    found.count("web", [UnreadableValue("paid", "amount", "x"), UnreadableValue("use", "score", 11)])
    found.count("web", [UnreadableValue("use", "score", "y" * 100)])
    assert [(place.property, count, example) for place, count, example in found.counts.listed()] == [
        ("score", 2, "y" * 40),
        ("amount", 1, "x"),
    ]


def test_places_past_the_limit_are_counted_together() -> None:
    found = PlaceCounts("passed_over", "Values")
    for number in range(MAX_KEYS + 7):
        found.count(f"source {number}", [UnreadableValue("use", "score", number)])
    assert len(found.counts.listed()) == MAX_KEYS + 1
    assert (found.counts.listed()[0].key.source, found.counts.listed()[0].times) == (OTHER, 7)
