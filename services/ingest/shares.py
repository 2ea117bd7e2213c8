"""Who is served when it gets tight? Each write key has an equal share of what may wait for the log."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shared.bus.gather import MOST, Size, size_of
from shared.bus.protocol import Outgoing
from shared.failures import Refused


class Shares:
    """What waits for the log, by write key.

    While less than half of `most` waits everybody may send. Beyond, a key that has more than its share (what waits, in
    equal parts for all who wait) is told to retry later, so that a flood on one key does not cost the others theirs.
    """

    def __init__(self, most: Size = MOST) -> None:
        self._most = most
        self._waiting: dict[str, float] = {}

    @contextmanager
    def waiting(self, key: str, records: Sequence[Outgoing]) -> Iterator[None]:
        """These records wait. Raises Refused (429) when others have to come first."""
        part = self._part(size_of(records))
        mine = self._waiting.get(key, 0.0) + part
        together = sum(self._waiting.values()) + part
        if together > 0.5 and mine > together / len({*self._waiting, key}):
            raise Refused("this write key sends more than its share; retry later", "too_many_requests", 429)
        self._waiting[key] = mine
        try:
            yield
        finally:
            self._give_back(key, part)

    def _give_back(self, key: str, part: float) -> None:
        left = self._waiting.pop(key) - part
        if left > 1e-9:
            self._waiting[key] = left

    def _part(self, size: Size) -> float:
        """How much of what may wait."""
        return max(size.records / self._most.records, size.bytes / self._most.bytes)
