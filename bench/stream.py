"""Stream: the events of a prefilled `usage.v1`, the same for every runner, made from a seed, about 341 bytes each."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from bench.end_state import End, Kept
from bench.plan import THRESHOLD
from shared.contracts.usage import UsageEvent

FEATURES = ("reports", "boards", "alerts", "exports", "search", "sharing", "api")
_NOTE = msgspec.json.encode("synthetic event, padded to what real ones have: " + "x" * 34)
_HOUR = timedelta(hours=1)
_encode = msgspec.json.Encoder().encode


class Event(NamedTuple):
    """One event, before it is written down."""

    number: int
    account: str
    feature: str
    at: datetime


@dataclass(frozen=True)
class Stream:
    """So many events of so many accounts, in runs of `session` of one account; with `greeting` one event of each comes first."""

    name: str
    events: int
    accounts: int
    seed: int
    began: datetime
    session: int = 1
    greeting: bool = False

    @property
    def whole(self) -> int:
        """How many events there are, the greeting too."""
        return self.events + self.accounts * self.greeting

    def __iter__(self) -> Iterator[Event]:
        return self.some(range(self.whole))

    def some(self, numbers: range) -> Iterator[Event]:
        """The events of these numbers."""
        return map(self._event, numbers)

    def at(self, number: int) -> datetime:
        """Microseconds are odd, so that every time is written with the same number of digits and sorts as text."""
        return self.began + timedelta(microseconds=2 * number + 1)

    def _event(self, number: int) -> Event:
        return Event(number, name_of(self._account(number)), FEATURES[number % len(FEATURES)], self.at(number))

    def _account(self, number: int) -> int:
        greeted = self.accounts * self.greeting
        if number < greeted:
            return number
        return spread((number - greeted) // self.session + self.seed, self.accounts)


def spread(number: int, accounts: int) -> int:
    """The account of an event: all come up about equally often, in an order that looks like chance."""
    return number * 2_654_435_761 % 4_294_967_291 % accounts


def name_of(account: int) -> str:
    """The account's id."""
    return f"acct{account:07d}"


def day_to_come(now: datetime) -> datetime:
    """Now; shortly before midnight the day that comes: a clock that passes midnight in a run would wake every account."""
    soon = (now + _HOUR).replace(hour=0, minute=0, second=0, microsecond=0)
    return max(now.replace(microsecond=0), soon)


def written(event: Event) -> bytes:
    """The event as ingest publishes it."""
    feature = event.feature
    return _encode(
        UsageEvent(
            id=f"bench-{event.number:012d}",
            account=event.account,
            type="track",
            name=f"feature_used:{feature}",
            at=event.at,
            received_at=event.at,
            source="bench",
            user=f"{event.account}-u{event.number % 3}",
            properties=msgspec.Raw(b'{"feature":"%s","note":%s}' % (feature.encode(), _NOTE)),
        )
    )


def expected(stream: Stream) -> End:
    """What every runner must have in the end."""
    return counted(stream)


def counted(events: Iterable[Event]) -> End:
    """What these events come to."""
    counts, last, features = Counter[str](), dict[str, str](), dict[str, Counter[str]]()
    for event in events:
        counts[event.account] += 1
        last[event.account] = told(event.at)
        features.setdefault(event.account, Counter())[event.feature] += 1
    accounts = {name: Kept(count, last[name], dict(features[name])) for name, count in counts.items()}
    return End(accounts, {name: 1 for name, count in counts.items() if count >= THRESHOLD})


def told(at: datetime) -> str:
    """A time as it stands in an event."""
    return str(msgspec.to_builtins(at))
