"""Changes that decisions and time make to what rules read. Each is handed to `Evaluation.write`, with the store it writes.

The stores that events write belong to the metric kinds (`metrics/`).
"""

from datetime import datetime
from typing import NamedTuple

from services.lifecycle.core.activity import remove
from services.lifecycle.core.evaluation import DAY
from services.lifecycle.core.state import Account
from shared.contracts.lifecycle import Band

STAGE, FLAGS, MILESTONES, HEALTH, FIRST_SEEN = "stage", "flags", "milestones", "health", "first_seen"
"""The stores that decisions write, and the time of the account's earliest event."""
USERS = "users:"
"""How the names of stores of users begin; the event class follows."""


class Reached(NamedTuple):
    """A milestone and when it was reached."""

    milestone: str
    at: datetime


def tick(account: Account, at: datetime) -> bool:
    """The clock reaches a midnight."""
    account.clock, account.next_due = at, at + DAY
    return True


def see_earlier(account: Account, at: datetime) -> bool:
    """A late event is the account's earliest."""
    account.first_seen = at
    return True


def enter_stage(account: Account, stage: str) -> bool:
    account.stage, account.entered_at = stage, account.clock
    return True


def raise_flag(account: Account, flag: str) -> bool:
    account.flags[flag] = account.clock
    return True


def clear_flag(account: Account, flag: str) -> bool:
    return account.flags.pop(flag, None) is not None


def reach_milestone(account: Account, reached: Reached) -> bool:
    account.milestones[reached.milestone] = reached.at
    return True


def set_score(account: Account, scored: tuple[float | None, float]) -> bool:
    """The health score, None where it is unknown, and its coverage, 0 to 1."""
    health = account.health
    before = (health.score, health.coverage)
    health.score, health.coverage = scored
    return before != scored


def set_band(account: Account, band: Band) -> bool:
    before, account.health.band = account.health.band, band
    return before != band


def forget_user(account: Account, user: str) -> bool:
    """Take this person out of the state; also what erasing a person asks of the core."""
    account.contacts.pop(user, None)
    users = [members for store, members in account.active_members.items() if store.startswith(USERS)]
    return sum(remove(members, user) for members in users) > 0
