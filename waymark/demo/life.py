"""How does one account live, from sign-up to its end? Day by day, a sorted stream of records."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from itertools import chain
from random import Random  # noqa: TID251  the type of the dice; they come from `chance`
from typing import Any, NamedTuple

from shared.ids import derived
from waymark.demo.account import Account
from waymark.demo.chance import dice
from waymark.demo.diary import Entry, diary
from waymark.demo.market import TIMEZONES
from waymark.demo.records import Body, group, identify, track
from waymark.demo.staff import Staff

_MORNING = 8 * 3600
"""Seats and contracts are dealt with before anybody works."""
_OFFICE = (9 * 3600, 18 * 3600)


class _Said(NamedTuple):
    second: float
    body: Body


def life(account: Account, today: date) -> Iterator[dict[str, Any]]:
    """Everything the account ever sent, in order, up to the last midnight (UTC) before `today`."""
    midnight = _office_midnight(account)
    end = datetime.combine(today, clock_time(), UTC)
    count = 0
    for day, said in _days(account):
        at = midnight + timedelta(days=day, seconds=said.second)
        if at < end:
            count += 1
            yield _stamped(said.body, at, derived("demo", account.seed, today, account.id, count))


def _office_midnight(account: Account) -> datetime:
    return datetime.combine(account.signed_up, clock_time(), UTC) - timedelta(hours=TIMEZONES[account.timezone])


def _stamped(body: Body, at: datetime, message_id: str) -> dict[str, Any]:
    moment = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"messageId": message_id, "timestamp": moment, **body}


def _days(account: Account) -> Iterator[tuple[int, _Said]]:
    dated, staff = diary(account), Staff(account)
    throw = dice(account.seed, account.number, "days")
    for day in range(account.last_day + 1):
        happenings = list(chain(_arrivals(staff, day), _contract(staff, dated.get(day, ()), day)))
        spoken = list(_spoken(staff, dated.get(day, ()), throw))
        used = [
            _Said(throw.uniform(*_OFFICE), track(account, person.user, *use)) for person, use in staff.uses(day, throw)
        ]
        for said in happenings + sorted(spoken + used, key=lambda said: said.second):
            yield day, said


def _arrivals(staff: Staff, day: int) -> Iterator[_Said]:
    account = staff.account
    newcomers = staff.newcomers(day)
    host = staff.present()[0]
    bought = {"subscription_id": account.subscription, "plan": account.segment.plan, "seats": account.seats}
    if day == 0:
        yield _Said(_MORNING, _group(staff, day))
    for number, person in enumerate(newcomers):
        second = _MORNING + 20 * number
        if person != host:
            yield _Said(
                second + 5, track(account, host.user, "User Invited", {"user_id": person.user, "role": person.role})
            )
        yield _Said(second + 10, identify(account, person))
    if day == 0:
        yield _Said(_MORNING + 20 * len(newcomers), track(account, host.user, "Subscription Started", bought))


def _contract(staff: Staff, entries: Sequence[Entry], day: int) -> Iterator[_Said]:
    """Seats and renewals change the account's traits that same morning."""
    for entry in entries:
        if entry.event == "Seats Changed":
            staff.seats = entry.properties["seats"]
        if entry.event in {"Seats Changed", "Subscription Renewed"}:
            yield _Said(_OFFICE[0] - 60, _group(staff, day))


def _group(staff: Staff, day: int) -> Body:
    account = staff.account
    terms = day // account.segment.term + 1
    renewal_at = account.signed_up + timedelta(days=terms * account.segment.term)
    return group(account, staff.present()[0].user, staff.seats, renewal_at)


def _spoken(staff: Staff, entries: Sequence[Entry], throw: Random) -> Iterator[_Said]:
    """The day's entries in their order, at any hour; a cancellation is the last word."""
    hours = sorted(throw.uniform(*_OFFICE) for _ in entries)
    for entry, hour in zip(entries, hours, strict=True):
        speaker = staff.speaker(entry.by, throw).user
        second = _OFFICE[1] if entry.event == "Subscription Cancelled" else hour
        yield _Said(second, _told(staff, entry, speaker))


def _told(staff: Staff, entry: Entry, speaker: str) -> Body:
    if entry.event == "User Removed":
        staff.leaves(entry.properties["user_id"])
    return track(staff.account, speaker, entry.event, dict(entry.properties))
