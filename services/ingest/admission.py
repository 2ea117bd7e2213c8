"""Admission: how much each source may send, so that none takes what the others need."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from services.ingest.core.segment import Identities
from shared.bus.producer import MAX_PENDING, Size, size_of
from shared.bus.protocol import ProducerRecord
from shared.contracts.usage import SourceKind
from shared.failures import Refused
from shared.keys import Key, Rates, source_of
from shared.settings import Settings

_LEAST = 1e-9
_BY_MINUTE = ("events_per_minute", "bytes_per_minute")
_BY_HOUR = ("accounts_per_hour", "contacts_per_hour")
_IN_WORDS = {
    "events_per_minute": "{} events a minute",
    "bytes_per_minute": "{} bytes of events a minute",
    "accounts_per_hour": "{} accounts that nobody named before an hour",
    "contacts_per_hour": "{} users that nobody named before an hour",
}
_SECONDS_BETWEEN_LINES = 60.0
_PATIENCE = 2.0
_log = structlog.get_logger(__name__)


def default_rates(settings: Settings) -> dict[SourceKind, Rates]:
    """What the sources of each kind may send, unless their keys say otherwise."""
    server = Rates(*(getattr(settings, f"server_{rate}") for rate in Rates._fields))
    browser = Rates(*(getattr(settings, f"browser_{rate}") for rate in Rates._fields))
    return {"browser": browser, "server": server, "import": server}


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
        """Take it, whether it is there or not; a negative amount gives back what was not used after all."""
        self._level -= amount


class SourceRates(Collector):
    """The rates of each source, in this process: events and bytes a minute, new accounts and contacts an hour.

    The keys of a source share its rates, so a rotation changes nothing. Counts what it refused, as a collector of Prometheus.
    """

    def __init__(self, defaults: Mapping[SourceKind, Rates]) -> None:
        self._defaults = defaults
        self._meters: dict[tuple[str, str, Rates], _Meter] = {}
        self._refused: dict[tuple[str, str], int] = {}

    def check(self, key: Key, now: float) -> None:
        """Before any work is done for it. Raises Refused (429) where the source has used up its events or bytes."""
        meter = self._meter_of(key)
        for rate in _BY_MINUTE:
            if (bucket := meter.buckets.get(rate)) is not None and (wait := bucket.seconds_to_wait(now)):
                raise self._refusal(key, rate, meter, wait)

    def take(self, key: Key, *, events: int = 0, size: int = 0) -> None:
        """It sent so many events, so many bytes. A negative number gives back what was taken in advance."""
        buckets = self._meter_of(key).buckets
        for rate, amount in (("events_per_minute", events), ("bytes_per_minute", size)):
            if (bucket := buckets.get(rate)) is not None:
                bucket.take(amount)

    def limits_newcomers(self, key: Key) -> bool:
        """Whether it matters how many accounts and contacts it names that nobody named before."""
        return not self._meter_of(key).buckets.keys().isdisjoint(_BY_HOUR)

    def take_newcomers(self, key: Key, accounts: int, contacts: int, now: float) -> None:
        """It names so many that nobody named before. Raises Refused (429) where that is more than is left."""
        meter = self._meter_of(key)
        wanted = [
            (rate, amount, meter.buckets[rate])
            for rate, amount in zip(_BY_HOUR, (accounts, contacts), strict=True)
            if amount and rate in meter.buckets
        ]
        for rate, amount, bucket in wanted:
            if wait := bucket.seconds_to_wait(now, amount):
                raise self._refusal(key, rate, meter, wait)
        for _, amount, bucket in wanted:
            bucket.take(amount)

    def collect(self) -> Iterable[Metric]:
        """Prometheus: posts refused for a rate, by source and rate."""
        refused = CounterMetricFamily(
            "waymark_rate_limited", "Posts refused because their source sent too much", labels=["source", "rate"]
        )
        for labels, count in self._refused.items():
            refused.add_metric(labels, count)
        return [refused]

    def _refusal(self, key: Key, rate: str, meter: "_Meter", wait: float) -> Refused:
        self._refused[key.name, rate] = self._refused.get((key.name, rate), 0) + 1
        if meter.next_line <= (now := asyncio.get_running_loop().time()):
            meter.next_line = now + _SECONDS_BETWEEN_LINES
            _log.warning("rate_limited", source=key.name, kind=key.kind, rate=rate, limit=meter.limits[rate])
        what = _IN_WORDS[rate].format(f"{meter.limits[rate]:,}")
        return Refused(f"this write key may send {what}; retry later", "rate_limited", 429, wait)

    def _meter_of(self, key: Key) -> "_Meter":
        name = (key.kind, key.name, key.rates)
        meter = self._meters.get(name)
        if meter is None:
            defaults = self._defaults.get(source_of(key).kind, Rates())
            meter = self._meters[name] = _Meter(defaults, key.rates)
        return meter


class _Meter:
    """What one source may send, and what of it is left."""

    def __init__(self, defaults: Rates, own: Rates) -> None:
        self.limits = {
            rate: amount
            for rate, default, given in zip(Rates._fields, defaults, own, strict=True)
            if (amount := default if given is None else given)
        }
        self.buckets = {
            rate: TokenBucket(amount, 60 if rate in _BY_MINUTE else 3600) for rate, amount in self.limits.items()
        }
        self.next_line = 0.0


FindKnown = Callable[[Collection[str], Collection[str]], Awaitable[tuple[set[str], set[str]]]]
"""Of these accounts and of these users those that are known."""


class Newcomers:
    """Accounts and users that nobody named before: neither the database knows them, nor this process saw them lately.

    What is known stays known here, as hashes, in bounded memory: a page that names the same account asks the database once.
    """

    def __init__(self, find_known: FindKnown, capacity: int = 100_000) -> None:
        self._find_known = find_known
        self._capacity = capacity
        self._seen: set[int] = set()
        self._seen_before: set[int] = set()

    async def among(self, named: Identities) -> Identities:
        """The new ones. Where the database does not answer, whoever was not seen lately is new."""
        unseen = self._unseen(named)
        if not any(unseen):
            return unseen
        try:
            async with asyncio.timeout(_PATIENCE):
                known = Identities(*await self._find_known(*unseen))
        except Exception as error:  # noqa: BLE001  an outage must neither stop the posts of those who are known, nor lift the limit
            _log.warning("newcomers_not_asked", error=repr(error))
        else:
            self.note(known)
        return self._unseen(unseen)

    def note(self, named: Identities) -> None:
        """They are known from now on."""
        for one in _hashes(named):
            if len(self._seen) >= self._capacity:
                self._seen, self._seen_before = set(), self._seen
            self._seen.add(one)

    def _unseen(self, named: Identities) -> Identities:
        seen, before = self._seen, self._seen_before
        return Identities(
            *(
                {one for one in some if (key := hash((kind, one))) not in seen and key not in before}
                for kind, some in enumerate(named)
            )
        )


def _hashes(named: Identities) -> Iterator[int]:
    return (hash((kind, one)) for kind, some in enumerate(named) for one in some)


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
