"""Today at the demo company: what comes in live once the year is told, so that somebody has something to do."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

from shared.ids import derived
from waymark.demo.company import accounts_of
from waymark.demo.model import CURRENCY, Account
from waymark.demo.simulation import Body, track

_CHAMPION, _ADMIN = 0, 1
"""Places of people whom every account has from its first day."""


class TodaysEvent(NamedTuple):
    """An event of today: which account of a persona it is of, and who of its people tells it."""

    persona: str
    place: int
    event: str
    teller: int
    properties: Mapping[str, Any]


_TODAY = (
    TodaysEvent("steady", 0, "Champion Left", _ADMIN, {"user": _CHAMPION}),
    TodaysEvent("steady", 0, "User Removed", _ADMIN, {"user": _CHAMPION}),
    TodaysEvent("renewing_soon", 0, "Cancellation Requested", _ADMIN, {"reason": "the budget is cut"}),
    TodaysEvent(
        "ramping", 0, "NPS Answered", _ADMIN, {"score": 4, "comment": "The import failed twice, and nobody told us."}
    ),
    TodaysEvent(
        "steady", 2, "NPS Answered", _ADMIN, {"score": 5, "comment": "Two of our five teams have stopped using it."}
    ),
    TodaysEvent(
        "steady", 1, "Objective Attained", _CHAMPION, {"objective": "overtime hours saved a month", "value": 61}
    ),
    TodaysEvent(
        "referred_lately", 0, "Invoice Paid", _ADMIN, {"invoice_id": "I-TODAY", "amount": 145, "currency": CURRENCY}
    ),
)
"""Each opens a task for whoever looks after the account; the payment makes a referral count."""


def live_events(seed: int, today: date) -> Iterator[Body]:
    """The bodies to post, without a time: they happen when they arrive. Equal arguments give equal bodies."""
    accounts = list(accounts_of(seed, today))
    for number, told in enumerate(_TODAY):
        account = [one for one in accounts if one.persona.name == told.persona][told.place]
        body = track(account, account.people[told.teller].user_id, told.event, _named(account, told.properties))
        yield {"messageId": derived("demo today", seed, today, number), **body}


def _named(account: Account, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties, where a person stands by their user id."""
    found = dict(properties)
    if "user" in found:
        found["user_id"] = account.people[found.pop("user")].user_id
    return found
