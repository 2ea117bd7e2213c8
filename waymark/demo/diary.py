"""What happens to an account on which day? The persona's beats and the bills, put into the calendar."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from waymark.demo.account import Account
from waymark.demo.chance import dice
from waymark.demo.draws import Told
from waymark.demo.market import CURRENCY
from waymark.demo.persona import Beat, Speaker


class Entry(NamedTuple):
    """Something that happens that day, and who of the account says it."""

    day: int
    event: str
    properties: Mapping[str, Any]
    by: Speaker


Diary = dict[int, list[Entry]]


def diary(account: Account) -> Diary:
    """Every dated event of the account's life, by days since sign-up."""
    days: Diary = defaultdict(list)
    for beat in account.persona.beats:
        for entry in _happenings(account, beat):
            days[entry.day].append(entry)
    seats = {
        entry.day: entry.properties["seats"] for day in days.values() for entry in day if "seats" in entry.properties
    }
    for entry in (*_invoices(account, seats), *_renewals(account, seats), *_cancellation(account)):
        days[entry.day].append(entry)
    return days


def _happenings(account: Account, beat: Beat) -> Iterator[Entry]:
    first = beat.day if beat.day >= 0 else account.last_day + round(beat.day * account.tempo)
    thread = beat.thread or f"{beat.event} {beat.day}"
    for occurrence in range(beat.times if beat.every else 1):
        base = first + occurrence * beat.every
        if base > account.last_day:
            return
        throw = dice(account.seed, account.number, thread, occurrence)
        happens = throw.random() < beat.chance
        day = _workday(account, base + throw.randint(-beat.jitter, beat.jitter) + beat.after)
        if happens and base > 0 and 0 <= day <= account.last_day:
            told = Told(account, throw, thread, occurrence, {})
            yield Entry(day, beat.event, _said(beat, told), beat.by)


def _said(beat: Beat, told: Told) -> dict[str, Any]:
    for name, value in beat.properties.items():
        told.said[name] = value(told) if callable(value) else value
    return told.said


def _workday(account: Account, day: int) -> int:
    weekday = account.weekday(day)
    return day - 1 if weekday == 5 else day + 1 if weekday == 6 else day


def _invoices(account: Account, seats: Mapping[int, int]) -> Iterator[Entry]:
    due = range(14, account.last_day + 1, 30)
    for number, day in enumerate(due):
        amount = account.segment.price * _seats(account, seats, day)
        bill = {"invoice_id": f"I-{account.number:03}{number + 1:02}", "amount": amount, "currency": CURRENCY}
        if number - len(due) not in account.persona.unpaid:
            yield Entry(day, "Invoice Paid", bill, "admin")
            continue
        yield from (
            Entry(later, "Invoice Failed", bill, "admin") for later in (day, day + 3) if later <= account.last_day
        )
        if account.persona.recovers:
            yield Entry(day + 6, "Invoice Paid", bill, "admin")


def _renewals(account: Account, seats: Mapping[int, int]) -> Iterator[Entry]:
    for day in range(account.segment.term, account.last_day + 1, account.segment.term):
        said = {
            "subscription_id": account.subscription,
            "plan": account.segment.plan,
            "seats": _seats(account, seats, day),
        }
        yield Entry(day, "Subscription Renewed", said, "admin")


def _cancellation(account: Account) -> Iterator[Entry]:
    if account.persona.left:
        said = {"subscription_id": account.subscription, "reason": account.persona.reason}
        yield Entry(account.last_day, "Subscription Cancelled", said, "admin")


def _seats(account: Account, changes: Mapping[int, int], day: int) -> int:
    return max((seats for changed, seats in changes.items() if changed <= day), default=account.seats)
