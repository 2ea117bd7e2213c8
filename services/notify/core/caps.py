"""Is there room in the contact budget, and if not, when? Rolling windows over what was sent, nothing else."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from services.notify.core.consent import TRANSACTIONAL
from services.notify.core.planned import Planned
from services.notify.core.playbook import Budget, Cap
from services.notify.core.state import Spent


class Full(NamedTuple):
    """The cap that leaves room last, and when."""

    cap: str
    until: datetime


def full(spent: Iterable[Spent], contact: Spent, budget: Budget) -> Full | None:
    """Why this contact cannot be made at its time; None when there is room under every cap that counts it."""
    if contact.class_ == TRANSACTIONAL:
        return None
    others = [past for past in spent if past.delivery != contact.delivery]
    caps = [cap for cap in budget.caps if cap.counts(contact.class_, contact.topic)]
    no_room = (_full(cap, others, contact) for cap in caps)
    return max((found for found in no_room if found), key=lambda found: (found.until, found.cap), default=None)


def contact(planned: Planned, at: datetime) -> Spent:
    """It, as the budget remembers it."""
    return Spent(planned.id, planned.user or "", planned.outreach_class, planned.topic, at, planned.history)


def kept(spent: Iterable[Spent], at: datetime, budget: Budget) -> list[Spent]:
    """Those young enough to count under any cap."""
    longest = max((cap.within for cap in budget.caps), default=timedelta())
    return [past for past in spent if past.at > at - longest]


def _full(cap: Cap, spent: list[Spent], contact: Spent) -> Full | None:
    mine = (past for past in spent if cap.account or past.user == contact.user)
    since = contact.at - cap.within
    times = sorted(past.at for past in mine if past.at > since and cap.counts(past.class_, past.topic))
    return Full(cap.name, times[-cap.max] + cap.within) if len(times) >= cap.max else None
