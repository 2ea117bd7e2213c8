"""Times: what senders who lie about them say, what of it may be believed, and how much work one event makes.

Computed from the posts as they were made, without the product's own rules.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.fold import advance
from services.lifecycle.core.state import Account
from shared.contracts.usage import SourceKind, UsageEvent
from tests.chaos.evidence import Age, Receipt
from tests.chaos.invariants import AHEAD

LIAR = "liar"
"""How the accounts begin that dishonest servers made up."""
BACK = timedelta(days=30)
"""How far a live event is believed before its receipt."""
_SKEW = timedelta(days=2)
"""A sender's clock that is further off corrects nothing."""
_NEVER_SET = datetime(1970, 1, 1, tzinfo=UTC)
_HISTORY = {"history": "an-import-of-mine"}
_YEARS = ("1970-01-01T00:00:07Z", "2199-01-01T00:00:00Z")

Envelope = dict[str, Any]
"""What of an event's JSON concerns time."""


class Claim(NamedTuple):
    """When a post says that something happened, when it says that it was sent, and who says so."""

    at: datetime
    sent_at: datetime | None
    history: bool
    kind: SourceKind


def claim(event: Mapping[str, Any], kind: SourceKind) -> Claim:
    """Of an event as it is posted with a key of that kind."""
    sent_at = event.get("sentAt")
    return Claim(
        _moment(event["timestamp"]), None if sent_at is None else _moment(sent_at), bool(event.get("history")), kind
    )


def believable(said: Claim, received_at: datetime, *, corrected: bool = False) -> datetime:
    """When it happened, as far as that may be believed; else when it was received. Of a corrected receipt nobody's clock is."""
    at, back = said.at, BACK
    if corrected and not said.history:
        pass
    elif said.history and said.kind == "server":
        back = received_at - _NEVER_SET
    elif said.sent_at is not None and abs(error := received_at - said.sent_at) < _SKEW:
        at += error
    return at if received_at - back <= at <= received_at + AHEAD else received_at


def lies(now: datetime) -> list[Envelope]:
    """Devices that never knew the time, dates of other centuries, phones that are days off, and `sentAt` that lies."""

    def phone(off: timedelta, sent_off: timedelta) -> Envelope:
        return {"timestamp": (now + off).isoformat(), "sentAt": (now + sent_off).isoformat()}

    hour, day = timedelta(hours=1), timedelta(days=1)
    years = [{"timestamp": year} for year in _YEARS]
    return [
        *({"timestamp": 0}, {"timestamp": -1}, {"timestamp": ""}),
        *years,
        *({**year, **_HISTORY} for year in years),
        *({"timestamp": (now + off).isoformat()} for off in (3 * day, 300 * day, -40 * day, -3000 * day)),
        *(phone(30 * hour, 31 * hour), phone(-31 * hour, -30 * hour), phone(-700 * day, -700 * day)),
        *(phone(0 * hour, -47 * hour), phone(-29 * day, 47 * hour), phone(90 * day, 0 * hour)),
    ]


def made_up_history() -> list[Envelope]:
    """The first and the last year that anybody writes, told as the past."""
    return [{"timestamp": year, **_HISTORY} for year in _YEARS]


def ages(archive: Iterable[UsageEvent], accounts: Mapping[str, Account], claims: Mapping[str, Claim]) -> list[Age]:
    """How old every account thinks it is, and the earliest that its events may be believed to have happened."""
    times = defaultdict(list)
    for event in archive:
        if event.id in claims:
            times[event.account].append(_believable(claims[event.id], event))
    return [
        Age(name, account.first_seen, account.clock, min(times[name], default=account.first_seen))
        for name, account in sorted(accounts.items())
    ]


def told_lies(archive: Iterable[UsageEvent], claims: Mapping[str, Claim]) -> int:
    """How many archived events said a time that may not be believed."""
    told = ((claims[event.id], event) for event in archive if event.id in claims)
    return sum(said.at != _believable(said, event) for said, event in told)


def receipts(archive: Iterable[UsageEvent], first_posted: Mapping[str, datetime]) -> list[Receipt]:
    """When every archived event was posted first, and when it was received as the product has it."""
    return [
        Receipt(event.id, first_posted[event.id], event.received_at) for event in archive if event.id in first_posted
    ]


def _believable(said: Claim, event: UsageEvent) -> datetime:
    return believable(said, event.received_at, corrected=event.stamped_at is not None)


def pass_midnights(account: Account, until: datetime, compiled: CompiledDefinition, decided_at: datetime) -> list[Any]:
    """Fire the midnights until then, one step of work after another, and take feedback in its place. What each decided."""
    steps = []
    while account.next_due is not None and account.next_due <= until:
        steps.append(advance(account, until, compiled, decided_at, 1))
    if account.waiting or account.unsettled:
        steps.append(advance(account, until, compiled, decided_at))
    return steps


def _moment(value: str | float) -> datetime:
    """A blank is said by a device that knows no time."""
    if isinstance(value, str):
        return datetime.fromisoformat(value) if value else _NEVER_SET
    return _NEVER_SET + timedelta(seconds=value)
