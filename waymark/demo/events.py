"""Building blocks of personas: property generators, and sets of scheduled events that many customers share."""

from random import Random  # noqa: TID251  a type; the dice are seeded
from typing import Any, NamedTuple

from waymark.demo.model import Account, PropertyGenerator, Schedule, ScheduledEvent
from waymark.demo.names import COMMENTS


class EventContext(NamedTuple):
    """What a property generator may read: the account, the event's dice and occurrence, the properties drawn before."""

    account: Account
    dice: Random
    thread: str
    occurrence: int
    properties: dict[str, Any]


def between(low: int, high: int) -> PropertyGenerator:
    return lambda context: context.dice.randint(low, high)


def choice_of(*choices: Any) -> PropertyGenerator:
    return lambda context: context.dice.choice(choices)


def growing(start: float, step: float) -> PropertyGenerator:
    """More each time it happens, never above all of it."""
    return lambda context: round(min(1.0, start + step * context.occurrence), 2)


def more_seats(factor: float) -> PropertyGenerator:
    return lambda context: round(context.account.seats * factor)


def user_id_of(number: int) -> PropertyGenerator:
    """The user id of the account's person of that index; 0 is the champion."""
    return lambda context: context.account.people[min(number, len(context.account.people) - 1)].user_id


def ticket_id(context: EventContext) -> str:
    threads = [event.thread for event in context.account.persona.schedule if event.event == "Ticket Opened"]
    return f"Q-{context.account.number:03}{threads.index(context.thread)}{context.occurrence:02}"


def comment(context: EventContext) -> str:
    """A sentence that fits the score already drawn."""
    score = context.properties["score"]
    band = "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"
    return str(context.dice.choice(COMMENTS[band]))


def own_code(context: EventContext) -> str:
    """The code this account's advocate hands out."""
    return context.account.referral_code


def code_it_came_with(context: EventContext) -> str:
    return context.account.referred_by_code


CONNECT: Schedule = (
    ScheduledEvent(
        2, "Integration Connected", {"integration": choice_of("warehouse", "erp", "sheets")}, actor="admin", jitter=1
    ),
    ScheduledEvent(
        20, "Integration Connected", {"integration": choice_of("chat", "calendar")}, actor="admin", jitter=6, chance=0.7
    ),
)
KICKOFF: Schedule = (ScheduledEvent(6, "CSM Meeting Held"),)
CARE: Schedule = (ScheduledEvent(40, "CSM Meeting Held", every=38, jitter=5),)
BILLING: Schedule = (ScheduledEvent(25, "Billing Page Viewed", actor="admin", every=90, jitter=9),)
TURNOVER: Schedule = (
    ScheduledEvent(150, "User Removed", {"user_id": user_id_of(3)}, actor="admin", jitter=30, chance=0.5),
)

GOALS = ("reporting hours saved a month", "late orders avoided", "audits passed", "overtime hours saved")


def objective_set(target: int = 40) -> Schedule:
    """A success objective with a target, agreed while onboarding."""
    return (
        ScheduledEvent(9, "Objective Set", {"objective": choice_of(*GOALS), "target": target}, thread="aim", jitter=3),
    )


def objective_attained(day: int, value: int = 43) -> Schedule:
    """The same objective, reached that many days after sign-up."""
    properties = {"objective": choice_of(*GOALS), "value": value}
    return (ScheduledEvent(9, "Objective Attained", properties, thread="aim", jitter=3, after=day - 9),)


def surveys(low: int, high: int, day: int = 58) -> Schedule:
    """NPS around day 60 and every quarter after it, by two people."""
    properties = {"score": between(low, high), "comment": comment}
    return (
        ScheduledEvent(day, "NPS Answered", properties, every=88, jitter=4, thread="nps champion"),
        ScheduledEvent(
            day + 3, "NPS Answered", properties, actor="anyone", every=88, jitter=4, chance=0.6, thread="nps user"
        ),
    )


def tickets(day: int, priority: str, open_days: int, **repeat: Any) -> Schedule:
    """A ticket and its closing, perhaps repeated."""
    thread = f"ticket {day} {priority}"
    properties = {"ticket_id": ticket_id, "priority": priority}
    opened = ScheduledEvent(day, "Ticket Opened", properties, actor="admin", thread=thread, **repeat)
    return opened, opened._replace(event="Ticket Closed", after=open_days)


SUPPORT: Schedule = (
    *tickets(15, "normal", 2, every=70, jitter=12, chance=0.7),
    *tickets(48, "low", 4, every=95, jitter=20, chance=0.5),
)
FIRST_IMPRESSION: Schedule = (
    ScheduledEvent(24, "CSAT Answered", {"score": choice_of(3, 4, 4, 5, 5)}, actor="admin", chance=0.7, jitter=8),
)
WELL_STARTED: Schedule = CONNECT + KICKOFF + objective_set() + FIRST_IMPRESSION
LOOKED_AFTER: Schedule = WELL_STARTED + CARE + BILLING + SUPPORT + TURNOVER
