"""Admission: how much each source may send, so that none takes what the others need."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shared.bus.producer import MAX_PENDING, Size, size_of
from shared.bus.protocol import ProducerRecord
from shared.failures import Refused

_LEAST = 1e-9


class TokenBucket:
    """So much in so many seconds. What is taken at once may be more than is there: then nothing is left until it is paid back."""

    def __init__(self, amount: float, seconds: float) -> None:
        self._capacity = self._level = float(amount)
        self._per_second = amount / seconds
        self._as_of = 0.0

    def seconds_to_wait(self, now: float, amount: float = 0.0) -> float:
        """Until so much (without an amount: anything) can be taken; 0 when it can be now. `now` is in seconds of any clock."""
        self._level = min(self._capacity, self._level + (now - self._as_of) * self._per_second)
        self._as_of = now
        missing = amount - self._level
        return max(missing, _LEAST) / self._per_second if missing > 0 or self._level <= 0 else 0.0

    def take(self, amount: float) -> None:
        """Take it, whether it is there or not."""
        self._level -= amount

    def give_back(self, amount: float) -> None:
        """It was not used after all."""
        self._level += amount


class FairShare:
    """Admission control: the records that wait for the log, by write key.

    While less than half of `capacity` waits everybody may send. Beyond, a key that has more than its share (what waits,
    in equal parts for all who wait) is answered 429, so that a flood on one key does not cost the others theirs.
    """

    def __init__(self, capacity: Size = MAX_PENDING) -> None:
        self._capacity = capacity
        self._waiting: dict[str, float] = {}

    @contextmanager
    def admit(self, key_name: str, records: Sequence[ProducerRecord]) -> Iterator[None]:
        """These records wait while the block runs. Raises Refused (429) when others go first."""
        load = self._load(size_of(records))
        of_key = self._waiting.get(key_name, 0.0) + load
        total = sum(self._waiting.values()) + load
        if total > 0.5 and of_key > total / len({*self._waiting, key_name}):
            raise Refused("this write key sends more than its share; retry later", "too_many_requests", 429)
        self._waiting[key_name] = of_key
        try:
            yield
        finally:
            self._release(key_name, load)

    def _release(self, key_name: str, load: float) -> None:
        remaining = self._waiting.pop(key_name) - load
        if remaining > 1e-9:
            self._waiting[key_name] = remaining

    def _load(self, size: Size) -> float:
        """The fraction of the capacity."""
        return max(size.records / self._capacity.records, size.bytes / self._capacity.bytes)
