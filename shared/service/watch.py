"""Has a reader fallen silent? It hands out nothing, and the log has more: some consumers never notice that they are stuck.

Only the time of looking counts: while a handler works, or another partition has much to say, nobody is silent.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from shared.bus.protocol import Partition
from shared.service.cursor import Claim


class _Still(NamedTuple):
    """A claim that has not moved since then; `due`: when the log was last asked, it had more."""

    claim: Claim
    since: float
    due: bool = False


class Watch:
    """Over the partitions one process owns. Silence is asked about twice within `patience` seconds of looking."""

    def __init__(self, patience: float) -> None:
        self._pause = patience / 2
        self._looked = 0.0
        self._still: dict[Partition, _Still] = {}
        self.moved = False
        """Whether anything has moved in the last look."""

    def looked(self, seconds: float, held: Mapping[Partition, Claim]) -> list[Partition]:
        """After a look of so many seconds: the partitions about which the log should be asked."""
        self._looked += seconds
        before, self._still = self._still, {}
        for partition, claim in held.items():
            known = before.get(partition)
            self._still[partition] = known if known and known.claim == claim else _Still(claim, self._looked)
        self.moved = any(
            known.claim.epoch == still.claim.epoch and known.claim != still.claim
            for partition, still in self._still.items()
            if (known := before.get(partition))
        )
        return [partition for partition, still in self._still.items() if self._looked - still.since >= self._pause]

    def stuck(self, quiet: Iterable[Partition], waiting: set[Partition]) -> list[Partition]:
        """Of the quiet ones, those for which something was `waiting` now and when the log was asked before."""
        found = []
        for partition in quiet:
            still = self._still[partition]
            if still.due and partition in waiting:
                found.append(partition)
            self._still[partition] = _Still(still.claim, self._looked, partition in waiting)
        return found
