"""Statistics over rounds: medians with their spread, and ratios of rounds that ran beside each other."""

from collections.abc import Sequence
from statistics import median

import msgspec

from bench.rounds import Figures


class Figure(msgspec.Struct, frozen=True):
    """One figure over the rounds."""

    median: float
    least: float
    most: float


def figures(rounds: Sequence[Figures]) -> dict[str, Figure]:
    """Each figure that every round has."""
    names = [name for name in rounds[0] if all(name in one for one in rounds)] if rounds else []
    return {name: figure([one[name] for one in rounds]) for name in names}


def figure(values: Sequence[float]) -> Figure:
    """The median, the least and the most."""
    return Figure(median(values), min(values), max(values))


def ratio(ours: Sequence[Figures], theirs: Sequence[Figures], name: str) -> Figure | None:
    """Ours over theirs, round by round: what disturbed one round disturbed both. None where a round lacks the figure."""
    pairs = [
        (one[name], other[name]) for one, other in zip(ours, theirs, strict=False) if name in one and name in other
    ]
    return figure([one / other for one, other in pairs]) if pairs and all(other for _, other in pairs) else None


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all lies at or below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
