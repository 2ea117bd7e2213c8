"""Simulation of one account, day by day: its schedule, the people who use the product, and the records they cause."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from itertools import chain
from random import Random  # noqa: TID251  a type; the dice are seeded
from typing import Any, NamedTuple

from shared.ids import derived
from waymark.demo.events import EventContext
from waymark.demo.model import (
    AUDIENCES,
    CURRENCY,
    FEATURES,
    REPORTS,
    TIMEZONES,
    VALUES,
    Account,
    Actor,
    Person,
    ScheduledEvent,
    dice,
    value_at,
)

Body = dict[str, Any]


def track(account: Account, user: str, event: str, properties: dict[str, Any]) -> Body:
    return {
        "type": "track",
        "userId": user,
        "event": event,
        "properties": properties,
        "context": {"groupId": account.id},
    }


def identify(account: Account, person: Person) -> Body:
    traits = {"email": person.email, "name": person.name, "role": person.role, "timezone": account.timezone}
    return {"type": "identify", "userId": person.user_id, "traits": traits, "context": {"groupId": account.id}}


def group(account: Account, user: str, seats: int, renewal_at: date) -> Body:
    traits = {
        "name": account.name,
        "plan": account.segment.plan,
        "seats": seats,
        "mrr": seats * account.segment.price,
        "renewal_at": renewal_at.isoformat(),
        "entitled_features": len(FEATURES),
        "segment": account.segment.name,
        "csm": account.csm,
    }
    return {
        "type": "group",
        "userId": user,
        "groupId": account.id,
        "traits": traits,
        "context": {"groupId": account.id},
    }


class DatedEvent(NamedTuple):
    """An event of a day, and who of the account causes it."""

    day: int
    event: str
    properties: Mapping[str, Any]
    actor: Actor


EventsByDay = dict[int, list[DatedEvent]]


def events_by_day(account: Account) -> EventsByDay:
    """Every dated event of the account's life, by days since sign-up."""
    days: EventsByDay = defaultdict(list)
    for event in account.persona.schedule:
        for dated in _occurrences(account, event):
            days[dated.day].append(dated)
    seats = {
        dated.day: dated.properties["seats"] for day in days.values() for dated in day if "seats" in dated.properties
    }
    for dated in (*_invoices(account, seats), *_renewals(account, seats), *_cancellation(account)):
        days[dated.day].append(dated)
    return days


def _occurrences(account: Account, event: ScheduledEvent) -> Iterator[DatedEvent]:
    first = event.day if event.day >= 0 else account.last_day + round(event.day * account.time_scale)
    thread = event.thread or f"{event.event} {event.day}"
    for occurrence in range(event.times if event.every else 1):
        base = first + occurrence * event.every
        if base > account.last_day:
            return
        random = dice(account.seed, account.number, thread, occurrence)
        happens = random.random() < event.chance
        day = _workday(account, base + random.randint(-event.jitter, event.jitter) + event.after)
        if happens and base > 0 and 0 <= day <= account.last_day:
            context = EventContext(account, random, thread, occurrence, {})
            yield DatedEvent(day, event.event, _drawn_properties(event, context), event.actor)


def _drawn_properties(event: ScheduledEvent, context: EventContext) -> dict[str, Any]:
    for name, value in event.properties.items():
        context.properties[name] = value(context) if callable(value) else value
    return context.properties


def _workday(account: Account, day: int) -> int:
    weekday = account.weekday(day)
    return day - 1 if weekday == 5 else day + 1 if weekday == 6 else day


def _invoices(account: Account, seats: Mapping[int, int]) -> Iterator[DatedEvent]:
    due = range(14, account.last_day + 1, 30)
    for number, day in enumerate(due):
        amount = account.segment.price * _seats(account, seats, day)
        bill = {"invoice_id": f"I-{account.number:03}{number + 1:02}", "amount": amount, "currency": CURRENCY}
        if number - len(due) not in account.persona.unpaid:
            yield DatedEvent(day, "Invoice Paid", bill, "admin")
            continue
        yield from (
            DatedEvent(later, "Invoice Failed", bill, "admin") for later in (day, day + 3) if later <= account.last_day
        )
        if account.persona.recovers:
            yield DatedEvent(day + 6, "Invoice Paid", bill, "admin")


def _renewals(account: Account, seats: Mapping[int, int]) -> Iterator[DatedEvent]:
    for day in range(account.segment.term, account.last_day + 1, account.segment.term):
        properties = {
            "subscription_id": account.subscription_id,
            "plan": account.segment.plan,
            "seats": _seats(account, seats, day),
        }
        yield DatedEvent(day, "Subscription Renewed", properties, "admin")


def _cancellation(account: Account) -> Iterator[DatedEvent]:
    if account.persona.cancelled_days_ago:
        properties = {"subscription_id": account.subscription_id, "reason": account.persona.reason}
        yield DatedEvent(account.last_day, "Subscription Cancelled", properties, "admin")


def _seats(account: Account, changes: Mapping[int, int], day: int) -> int:
    return max((seats for changed, seats in changes.items() if changed <= day), default=account.seats)


Use = tuple[str, dict[str, Any]]


class Team:
    """The people of one account as they come and go. It needs at least its champion and its admin."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.seats = account.seats
        self._joined = 0
        self._gone: set[str] = set()

    def join(self, day: int) -> tuple[Person, ...]:
        """Who gets a seat today, which they have from now on; on weekends nobody is invited."""
        if self.account.weekday(day) > 4:
            return ()
        # Seats bought later are given out slowly.
        given_out = self.account.seats + 0.4 * (self.seats - self.account.seats)
        wanted = max(2, round(given_out * value_at(self.account.persona.seat_use, day)))
        joining = self.account.people[self._joined : min(wanted, self._joined + 2 if day else wanted)]
        self._joined += len(joining)
        return joining

    def remove(self, user: str) -> None:
        self._gone.add(user)

    def present(self) -> list[Person]:
        return [person for person in self.account.people[: self._joined] if person.user_id not in self._gone]

    def actor_of(self, actor: Actor, random: Random) -> Person:
        """Who causes it: where the champion is gone, the next in line."""
        present = self.present()
        if actor == "anyone":
            return random.choice(present)
        return next((person for person in present if person.role == actor), present[0])

    def uses(self, day: int, random: Random) -> Iterator[tuple[Person, Use]]:
        """What everybody does with the product today."""
        persona = self.account.persona
        # A decline counts twice: fewer people come, and they come less often.
        left = math.sqrt(value_at(persona.decline, (day - self.account.last_day) / self.account.time_scale))
        likely = persona.days_a_week / 5 * left * (0.06 if self.account.weekday(day) > 4 else 1.0)
        present = self.present()
        for person in present[: math.ceil(len(present) * left)]:
            if random.random() < likely * person.activity:
                for _ in range(random.choice((1, 1, 1, 2))):
                    yield person, _use(self.account, random)


def _use(account: Account, random: Random) -> Use:
    persona, kind = account.persona, random.random()
    if kind < persona.value_share:
        return "Value Delivered", {"kind": random.choice(VALUES), "hours_saved": random.randint(1, 8)}
    if kind < persona.value_share + persona.creation_share * 2 / 3:
        return "Report Created", {"report": random.choice(REPORTS)}
    if kind < persona.value_share + persona.creation_share:
        return "Dashboard Shared", {"audience": random.choice(AUDIENCES)}
    # The first features of the list are the account's favourites.
    return "Feature Used", {"feature": account.features[int(len(account.features) * random.random() ** 1.5)]}


_MORNING = 8 * 3600
"""Seats and contracts are dealt with before anybody works."""
_OFFICE = (9 * 3600, 18 * 3600)


class _TimedBody(NamedTuple):
    second: float
    body: Body


def account_records(account: Account, today: date) -> Iterator[dict[str, Any]]:
    """Everything the account ever sent, in order, up to the last midnight (UTC) before `today`."""
    midnight = _office_midnight(account)
    end = datetime.combine(today, clock_time(), UTC)
    count = 0
    for day, timed in _days(account):
        at = midnight + timedelta(days=day, seconds=timed.second)
        if at < end:
            count += 1
            yield _stamped(timed.body, at, derived("demo", account.seed, today, account.id, count))


def _office_midnight(account: Account) -> datetime:
    return datetime.combine(account.signed_up, clock_time(), UTC) - timedelta(hours=TIMEZONES[account.timezone])


def _stamped(body: Body, at: datetime, message_id: str) -> dict[str, Any]:
    moment = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"messageId": message_id, "timestamp": moment, **body}


def _days(account: Account) -> Iterator[tuple[int, _TimedBody]]:
    dated, team = events_by_day(account), Team(account)
    random = dice(account.seed, account.number, "days")
    for day in range(account.last_day + 1):
        arrivals = list(chain(_arrivals(team, day), _contract_changes(team, dated.get(day, ()), day)))
        dated_bodies = list(_dated_bodies(team, dated.get(day, ()), random))
        used = [
            _TimedBody(random.uniform(*_OFFICE), track(account, person.user_id, *use))
            for person, use in team.uses(day, random)
        ]
        for timed in arrivals + sorted(dated_bodies + used, key=lambda timed: timed.second):
            yield day, timed


def _arrivals(team: Team, day: int) -> Iterator[_TimedBody]:
    account = team.account
    newcomers = team.join(day)
    host = team.present()[0]
    bought = {"subscription_id": account.subscription_id, "plan": account.segment.plan, "seats": account.seats}
    if day == 0:
        yield _TimedBody(_MORNING, _group(team, day))
    for number, person in enumerate(newcomers):
        second = _MORNING + 20 * number
        if person != host:
            yield _TimedBody(
                second + 5,
                track(account, host.user_id, "User Invited", {"user_id": person.user_id, "role": person.role}),
            )
        yield _TimedBody(second + 10, identify(account, person))
    if day == 0:
        yield _TimedBody(_MORNING + 20 * len(newcomers), track(account, host.user_id, "Subscription Started", bought))


def _contract_changes(team: Team, events: Sequence[DatedEvent], day: int) -> Iterator[_TimedBody]:
    """Seats and renewals change the account's traits that same morning."""
    for dated in events:
        if dated.event == "Seats Changed":
            team.seats = dated.properties["seats"]
        if dated.event in {"Seats Changed", "Subscription Renewed"}:
            yield _TimedBody(_OFFICE[0] - 60, _group(team, day))


def _group(team: Team, day: int) -> Body:
    account = team.account
    terms = day // account.segment.term + 1
    renewal_at = account.signed_up + timedelta(days=terms * account.segment.term)
    return group(account, team.present()[0].user_id, team.seats, renewal_at)


def _dated_bodies(team: Team, events: Sequence[DatedEvent], random: Random) -> Iterator[_TimedBody]:
    """The day's events in their order, at any hour; a cancellation comes last."""
    hours = sorted(random.uniform(*_OFFICE) for _ in events)
    for dated, hour in zip(events, hours, strict=True):
        user_id = team.actor_of(dated.actor, random).user_id
        second = _OFFICE[1] if dated.event == "Subscription Cancelled" else hour
        yield _TimedBody(second, _body_of(team, dated, user_id))


def _body_of(team: Team, dated: DatedEvent, user_id: str) -> Body:
    if dated.event == "User Removed":
        team.remove(dated.properties["user_id"])
    return track(team.account, user_id, dated.event, dict(dated.properties))
