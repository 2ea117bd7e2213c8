"""Throttle of signing in: token buckets, one for each address and one for all, told the time.

An attempt takes a token; one that succeeded gives it back. Addresses of which somebody signed in before are held by their own
bucket alone, so that a flood of guesses from everywhere does not lock out those who work here.
"""

from collections import OrderedDict
from datetime import datetime, timedelta
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
_CLOCKS_AGREE = timedelta(minutes=1)
"""Two machines' clocks differ by less; a time further ahead is of a clock that was wrong."""


class Bucket(NamedTuple):
    """The attempts that were left at a time."""

    left: float
    at: datetime

    def refilled(self, allowance: Allowance, now: datetime) -> "Bucket":
        """As it is now. A clock that was set back, or another machine's that is behind, refills nothing."""
        passed = max(0.0, (now - self.at).total_seconds())
        at = max(now, self.at) if self.at - now < _CLOCKS_AGREE else now
        return Bucket(min(allowance.burst, self.left + passed / allowance.seconds), at)

    def seconds_to_wait(self, allowance: Allowance) -> int:
        """0 while an attempt is left."""
        return 0 if self.left >= 1 else max(1, ceil((1 - self.left) * allowance.seconds))

    def less(self, attempts: int) -> "Bucket":
        """With so many taken; a negative number gives back, and what is too much goes with the next refill."""
        return self._replace(left=max(0.0, self.left - attempts))


class Buckets(NamedTuple):
    """What is left to an address, and to all together."""

    own: Bucket
    everybody: Bucket


class Limits(NamedTuple):
    """How many attempts there are, of an address and of all."""

    of_address: Allowance = OF_ADDRESS
    of_all: Allowance = OF_ALL

    def full(self, now: datetime) -> Buckets:
        """Where nobody tried yet."""
        return Buckets(Bucket(self.of_address.burst, now), Bucket(self.of_all.burst, now))

    def attempt(self, buckets: Buckets, now: datetime, *, known: bool) -> tuple[Wait, Buckets]:
        """Take an attempt, or say how long to wait for one. `known`: somebody signed in from there before."""
        own, everybody = self._refilled(buckets, now)
        if seconds := own.seconds_to_wait(self.of_address):
            return Wait(seconds), Buckets(own, everybody)
        if not known and (seconds := everybody.seconds_to_wait(self.of_all)):
            return Wait(seconds, of_all=True), Buckets(own, everybody)
        own = own.less(1)
        everybody = everybody.less(1)
        return Wait(), Buckets(own, everybody)

    def succeeded(self, buckets: Buckets, now: datetime) -> Buckets:
        """Give the attempt back."""
        return Buckets(*(bucket.less(-1) for bucket in self._refilled(buckets, now)))

    def _refilled(self, buckets: Buckets, now: datetime) -> Buckets:
        return Buckets(buckets.own.refilled(self.of_address, now), buckets.everybody.refilled(self.of_all, now))


LIMITS = Limits()


class Throttle:
    """Who may try a key now, as far as this process knows."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self._addresses: OrderedDict[str, Bucket] = OrderedDict()
        self._everybody: Bucket | None = None

    def attempt(self, address: str, now: datetime, *, known: bool = False) -> Wait:
        """Take an attempt, or say how long to wait for one. `known`: somebody signed in from there before."""
        wait, after = self.limits.attempt(self._buckets(address, now), now, known=known)
        self._note(address, after)
        return wait

    def succeeded(self, address: str, now: datetime) -> None:
        """Give the attempt back."""
        self._note(address, self.limits.succeeded(self._buckets(address, now), now))

    def _buckets(self, address: str, now: datetime) -> Buckets:
        full = self.limits.full(now)
        own = self._addresses.get(network_of(address))
        return Buckets(own or full.own, self._everybody or full.everybody)

    def _note(self, address: str, after: Buckets) -> None:
        key = network_of(address)
        self._addresses[key], self._everybody = after
        self._addresses.move_to_end(key)
        while len(self._addresses) > _MAX_ADDRESSES:
            self._addresses.popitem(last=False)


def network_of(address: str) -> str:
    """What counts as one visitor: of IPv6 the /64, which a single customer of a provider has whole."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
