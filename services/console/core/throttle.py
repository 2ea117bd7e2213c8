"""Throttle of signing in: token buckets, one for each address and one for all, told the time.

An attempt takes a token; one that succeeded gives it back. Addresses of which somebody signed in before are held by their own
bucket alone, so that a flood of guesses from everywhere does not lock out those who work here.
"""

from collections import OrderedDict
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import NamedTuple


class Allowance(NamedTuple):
    """So many attempts at once, and one more after so many seconds."""

    burst: int
    seconds: float


class Wait(NamedTuple):
    """Seconds until the next attempt, 0: now. `of_all`: only because so many others tried."""

    seconds: int = 0
    of_all: bool = False


OF_ADDRESS = Allowance(5, 30.0)
OF_ALL = Allowance(60, 2.0)
_MAX_ADDRESSES = 10_000


class _Bucket:
    """Attempts that are left."""

    def __init__(self, allowance: Allowance, now: datetime) -> None:
        self._allowance = allowance
        self._left = float(allowance.burst)
        self._at = now

    def seconds_to_wait(self, now: datetime) -> int:
        """0 while an attempt is left."""
        passed = max(0.0, (now - self._at).total_seconds())  # a clock that was set back refills nothing
        self._left = min(self._allowance.burst, self._left + passed / self._allowance.seconds)
        self._at = now
        return 0 if self._left >= 1 else max(1, ceil((1 - self._left) * self._allowance.seconds))

    def take(self, attempts: int) -> None:
        self._left = min(self._allowance.burst, max(0.0, self._left - attempts))


class Throttle:
    """Who may try a key now."""

    def __init__(self, of_address: Allowance = OF_ADDRESS, of_all: Allowance = OF_ALL) -> None:
        self._of_address = of_address
        self._of_all = of_all
        self._addresses: OrderedDict[str, _Bucket] = OrderedDict()
        self._all: _Bucket | None = None

    def attempt(self, address: str, now: datetime, *, known: bool = False) -> Wait:
        """Take an attempt, or say how long to wait for one. `known`: somebody signed in from there before."""
        own, everybody = self._bucket(address, now), self._everybody(now)
        for bucket, of_all in ((own, False), (everybody, True)):
            seconds = bucket.seconds_to_wait(now)
            if seconds and not (of_all and known):
                return Wait(seconds, of_all=of_all)
        own.take(1)
        everybody.take(1)
        return Wait()

    def succeeded(self, address: str, now: datetime) -> None:
        """Give the attempt back."""
        self._bucket(address, now).take(-1)
        self._everybody(now).take(-1)

    def _everybody(self, now: datetime) -> _Bucket:
        self._all = self._all or _Bucket(self._of_all, now)
        return self._all

    def _bucket(self, address: str, now: datetime) -> _Bucket:
        key = network_of(address)
        bucket = self._addresses.setdefault(key, _Bucket(self._of_address, now))
        self._addresses.move_to_end(key)
        while len(self._addresses) > _MAX_ADDRESSES:
            self._addresses.popitem(last=False)
        return bucket


def network_of(address: str) -> str:
    """What counts as one visitor: of IPv6 the /64, which a single customer of a provider has whole."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
