"""Customers of the simulated year: a table of kinds, each a year of usage events; the dice are seeded by the account's number."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random  # noqa: TID251  a type; the dice are seeded
from types import MappingProxyType
from typing import Any, NamedTuple

from shared.contracts.usage import UsageEvent
from tests.make import usage_event
from waymark.demo.model import dice

START = datetime(2025, 1, 6, tzinfo=UTC)
"""A Monday."""
DAYS = 365
_HOUR = timedelta(hours=1)


class Happening(NamedTuple):
    """One thing that happens on a day of the account's year; a type other than `track` is an identify or a group call."""

    day: float
    name: str
    user: str
    properties: Mapping[str, Any] = MappingProxyType({})
    type: str = "track"


Year = Iterable[Happening]


class Kind(NamedTuple):
    """A kind of customer. `seats` bought, `people` who use it, `days_a_week` on which they do, in [from, until) days."""

    year: Callable[[Random], Year]
    seats: int = 10
    people: int = 8
    days_a_week: int = 4
    use: tuple[tuple[int, int], ...] = ((0, DAYS),)
    features: int = 6
    value_from: int = 10
    term: int = 300
    contact: Mapping[str, Any] = MappingProxyType({})


def nothing(_: Random) -> Year:
    return ()


def money(_: Random) -> Year:
    return (
        Happening(day, "Invoice Paid", "u0", {"invoice_id": f"i{day}", "amount": 500}) for day in range(20, 360, 30)
    )


def promoter(random: Random) -> Year:
    yield from money(random)
    yield from (Happening(day, "NPS Answered", "u0", {"score": 10}) for day in (62, 150, 240, 330))
    yield from (Happening(day, "CSM Meeting Held", "u0") for day in range(15, 360, 45))
    yield Happening(40, "Objective Set", "u0")
    yield Happening(100 + random.randint(0, 20), "Objective Attained", "u0")
    yield Happening(260 + random.randint(0, 20), "Objective Attained", "u0")


def detractor(random: Random) -> Year:
    """Attains an objective, and outgrows its seats, while it would not recommend us and owes us money."""
    day = 120 + random.randint(0, 5)
    yield from money(random)
    yield Happening(day, "NPS Answered", "u0", {"score": 2})
    yield Happening(day + 1, "Invoice Failed", "u0", {"invoice_id": "late"})
    yield Happening(day + 3, "Objective Attained", "u0")
    yield Happening(day + 60, "Invoice Paid", "u0", {"invoice_id": "late", "amount": 500})


def payer(pays_after: int) -> Callable[[Random], Year]:
    def year(random: Random) -> Year:
        day = 90 + random.randint(0, 30)
        yield Happening(day, "Invoice Failed", "u0", {"invoice_id": "card"})
        if pays_after:
            yield Happening(day + pays_after, "Invoice Paid", "u0", {"invoice_id": "card", "amount": 500})

    return year


def urgent(random: Random) -> Year:
    """Urgent tickets stand open when surveys and offers fall due."""
    for day in (18, 57, 200):
        opened = day + random.randint(0, 3)
        yield Happening(opened, "Ticket Opened", "u1", {"ticket_id": f"t{day}", "priority": "urgent"})
        yield Happening(opened + 6, "Ticket Closed", "u1", {"ticket_id": f"t{day}"})
    yield Happening(203, "Limit Measured", "u0", {"share": 0.9})


def limits(random: Random) -> Year:
    yield from (Happening(day, "Limit Measured", "u0", {"share": 0.85}) for day in (80 + random.randint(0, 9), 180))


def gated(random: Random) -> Year:
    day = 90 + random.randint(0, 20)
    yield from (
        Happening(day + part, "Gated Feature Attempted", f"u{part % 3}", {"feature": "audit"}) for part in range(5)
    )


def champion(random: Random) -> Year:
    day = 110 + random.randint(0, 20)
    yield Happening(day, "Champion Left", "u0", {"user_id": "u0"})
    yield Happening(day + 30, "Champion Named", "u1", {"user_id": "u1"})


def leaver(random: Random) -> Year:
    day = 70 + random.randint(0, 20)
    yield Happening(day, "Cancellation Requested", "u0")
    yield Happening(day + 20, "Subscription Cancelled", "u0", {"subscription_id": "s"})


def attained(random: Random) -> Year:
    yield Happening(60 + random.randint(0, 60), "Objective Attained", "u0")


def poor_answer(random: Random) -> Year:
    yield Happening(100 + random.randint(0, 40), "NPS Answered", "u1", {"score": 3})


def away(*spans: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """In use but for these days."""
    edges = [0, *(day for span in spans for day in span), DAYS]
    return tuple((edges[index], edges[index + 1]) for index in range(0, len(edges), 2))


KINDS: dict[str, Kind] = {
    "promoter": Kind(promoter, seats=14, people=9, days_a_week=5),
    "outgrows its seats": Kind(promoter, people=10),
    "uses it without a result": Kind(nothing, value_from=DAYS),
    "detractor": Kind(detractor, people=10),
    "silent for good": Kind(nothing, use=away((130, DAYS))),
    "silent and back": Kind(nothing, use=away((120, 137), (220, 255))),
    "dwindling": Kind(nothing, use=((0, 100),), people=6),
    "never started": Kind(nothing, use=(), value_from=DAYS),
    "started without a result": Kind(nothing, use=((1, 4),), people=1, value_from=DAYS),
    "set up in a week": Kind(money, use=((3, DAYS),)),
    "pays in five days": Kind(payer(5)),
    "never pays": Kind(payer(0)),
    "urgent tickets": Kind(urgent),
    "nears its limit": Kind(limits),
    "wants more": Kind(gated, people=6),
    "loses its champion": Kind(champion),
    "leaves": Kind(leaver),
    "few of its seats": Kind(nothing, seats=24, people=3),
    "few of its features": Kind(nothing, features=1),
    "attains an objective": Kind(attained, term=420),
    "gives a poor answer": Kind(poor_answer),
    "wants no mail": Kind(attained, use=away((90, 130)), contact={"unsubscribed": True}),
    "has no address": Kind(nothing, use=away((90, 130)), contact={"email": None}),
}

ZONES = ("UTC", "America/New_York", "Asia/Tokyo", "Europe/Berlin")
ROLES = ("champion", "admin", "owner", "user")


def events_of(number: int) -> tuple[str, list[UsageEvent]]:
    """The kind of the account with this number, and its year."""
    names = list(KINDS)
    name = names[number % len(names)]
    kind, random, account = KINDS[name], dice("year", number), f"a{number:04}"
    begins = START + timedelta(days=random.randint(0, 13), hours=random.randint(0, 23))
    happenings = [*_signing_up(kind, random), *kind.year(random), *_use(kind, random)]
    happenings.sort(key=lambda one: one.day)
    events = [_event(account, index, begins, one) for index, one in enumerate(happenings) if one.day < DAYS]
    return name, events


def _signing_up(kind: Kind, random: Random) -> Year:
    renewal = (START + timedelta(days=kind.term)).date().isoformat()
    traits = {"name": "Acme", "plan": "pro", "seats": kind.seats, "mrr": 1500, "renewal_at": renewal}
    yield Happening(0, "", "u0", traits | {"entitled_features": 6, "csm": "Kim"}, "group")
    zone = random.choice(ZONES)
    for index in range(min(3, max(1, kind.people))):
        person = {
            "email": f"u{index}@acme.example",
            "name": f"Ann Number{index}",
            "role": ROLES[index],
            "timezone": zone,
        }
        told = {key: value for key, value in (person | dict(kind.contact)).items() if value is not None}
        yield Happening(0, "", f"u{index}", told, "identify")
    yield Happening(0, "Subscription Started", "u0", {"subscription_id": "s", "plan": "pro", "seats": kind.seats})
    if kind.use and kind.value_from < DAYS:
        yield Happening(1, "User Invited", "u0", {"user_id": "u1"})


def _use(kind: Kind, random: Random) -> Year:
    for since, until in kind.use:
        for day in range(since, until):
            if day % 7 >= 5 or random.random() > kind.days_a_week / 5:
                continue
            for person in range(kind.people):
                if random.random() < 0.35:
                    feature = random.randrange(kind.features)
                    yield Happening(day + 0.4 + person / 100, f"feature_used:f{feature}", f"u{person}")
            if day >= kind.value_from and day % 7 == 2:
                yield Happening(day + 0.6, "Value Delivered", "u0")


def _event(account: str, index: int, begins: datetime, one: Happening) -> UsageEvent:
    at = begins + timedelta(days=one.day) if one.day < 1 else _midnight(begins) + timedelta(days=one.day)
    at += index * timedelta(milliseconds=1)
    return usage_event(
        f"{account}-{index}",
        account,
        name=one.name,
        at=at,
        type=one.type,
        user=one.user,
        properties=dict(one.properties),
    )


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0) + 24 * _HOUR
