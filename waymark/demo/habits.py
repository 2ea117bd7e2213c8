"""What do many customers do alike? Sets of beats that personas are put together from."""

from typing import Any

from waymark.demo.draws import between, comment, one_of, person, ticket_id
from waymark.demo.persona import Beat, Beats

CONNECT: Beats = (
    Beat(2, "Integration Connected", {"integration": one_of("warehouse", "erp", "sheets")}, by="admin", jitter=1),
    Beat(20, "Integration Connected", {"integration": one_of("chat", "calendar")}, by="admin", jitter=6, chance=0.7),
)
KICKOFF: Beats = (Beat(6, "CSM Meeting Held"),)
CARE: Beats = (Beat(40, "CSM Meeting Held", every=38, jitter=5),)
BILLING: Beats = (Beat(25, "Billing Page Viewed", by="admin", every=90, jitter=9),)
TURNOVER: Beats = (Beat(150, "User Removed", {"user_id": person(3)}, by="admin", jitter=30, chance=0.5),)

GOALS = ("reporting hours saved a month", "late orders avoided", "audits passed", "overtime hours saved")


def aims(target: int = 40) -> Beats:
    """A success objective with a target, agreed while onboarding."""
    return (Beat(9, "Objective Set", {"objective": one_of(*GOALS), "target": target}, thread="aim", jitter=3),)


def attains(day: int, value: int = 43) -> Beats:
    """The same objective, reached that many days after sign-up."""
    said = {"objective": one_of(*GOALS), "value": value}
    return (Beat(9, "Objective Attained", said, thread="aim", jitter=3, after=day - 9),)


def surveys(low: int, high: int, day: int = 58) -> Beats:
    """NPS around day 60 and every quarter after it, by two people."""
    said = {"score": between(low, high), "comment": comment}
    return (
        Beat(day, "NPS Answered", said, every=88, jitter=4, thread="nps champion"),
        Beat(day + 3, "NPS Answered", said, by="anyone", every=88, jitter=4, chance=0.6, thread="nps user"),
    )


def tickets(day: int, priority: str, open_days: int, **repeat: Any) -> Beats:
    """A ticket and its closing, perhaps again and again."""
    thread = f"ticket {day} {priority}"
    said = {"ticket_id": ticket_id, "priority": priority}
    opened = Beat(day, "Ticket Opened", said, by="admin", thread=thread, **repeat)
    return opened, opened._replace(event="Ticket Closed", after=open_days)


SUPPORT: Beats = (
    *tickets(15, "normal", 2, every=70, jitter=12, chance=0.7),
    *tickets(48, "low", 4, every=95, jitter=20, chance=0.5),
)
WELL_STARTED: Beats = CONNECT + KICKOFF + aims()
LOOKED_AFTER: Beats = WELL_STARTED + CARE + BILLING + SUPPORT + TURNOVER
