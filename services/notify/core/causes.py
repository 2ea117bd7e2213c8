"""Causes: plays that answer the same thing give one answer, by their `causes` and `precedence`.

While a play is at work, and for a while after it last did something (`same_cause` of the budget), no other of the same cause
starts. One of higher precedence takes over instead: the other ends, and the new one begins when that while is over.
"""

from collections.abc import Iterable
from datetime import datetime

from msgspec.structs import replace

from services.notify.core.playbook import Play, Playbook, Result, ended_run
from services.notify.core.state import Account


def answered_by(account: Account, play: Play, at: datetime, book: Playbook) -> str:
    """The play that answers a cause of this one already, and does not give way to it; empty where there is none."""
    at_work = {run.play for run in account.runs}
    for other in _answers(play, book):
        last = account.last_contacted.get(other.name)
        lately = last is not None and at < last + book.budget.same_cause
        if (other.name in at_work or lately) and not _outranks(play, other):
            return other.name
    return ""


def begins_at(account: Account, play: Play, at: datetime, book: Playbook) -> datetime:
    """When it begins: at once, or a while after the last that those did which it takes over from."""
    last = (account.last_contacted.get(other.name) for other in _answers(play, book))
    return max([at, *(when + book.budget.same_cause for when in last if when is not None)])


def take_over(account: Account, play: Play, book: Playbook) -> Result:
    """The account without the runs of the other answers; what they decided on and has not left stays here."""
    decisions, others = [], {other.name: other for other in _answers(play, book)}
    for run in account.runs:
        if run.play in others:
            account, skipped = ended_run(account, run, others[run.play], play.name, "same_cause")
            decisions += skipped
    taken_over = f"same cause: {play.name}"
    sends = [
        one if one.stopped or one.play not in others else replace(one, stopped=taken_over)
        for one in account.planned_sends
    ]
    return (account if sends == account.planned_sends else replace(account, planned_sends=sends)), decisions


def _answers(play: Play, book: Playbook) -> Iterable[Play]:
    """The other plays that have a cause in common with it."""
    if not play.causes:
        return ()
    return (other for other in book.plays.values() if other.name != play.name and play.causes & other.causes)


def _outranks(play: Play, other: Play) -> bool:
    return play.precedence > other.precedence
