"""Shall this message go to this person now? Questions in a fixed order; the first that objects decides."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from services.notify.core.addresses import deliverable
from services.notify.core.caps import full
from services.notify.core.consent import TRANSACTIONAL, declined
from services.notify.core.holdout import held_out
from services.notify.core.hours import allowed_from
from services.notify.core.planned import Reason
from services.notify.core.playbook import Play, Playbook, Step
from services.notify.core.reach import REACH
from services.notify.core.state import Account, Spent
from services.notify.core.view import values
from shared.expr import Expr

LOOK_AGAIN = timedelta(days=1)


class Case(NamedTuple):
    """What is to be judged: this delivery of this play, at this moment."""

    account: Account
    book: Playbook
    play: Play
    step: Step
    user: str | None
    delivery: str
    at: datetime
    expires_at: datetime

    @property
    def contact(self) -> Spent:
        """It, as the budget would remember it."""
        return Spent(self.delivery, self.user or "", self.play.class_, self.play.topic, self.at)


class Verdict(NamedTuple):
    """`defer` looks again at `until`; the reason is of a skip, or of a deferral that outlasts its expiry."""

    action: Literal["send", "defer", "skip"]
    reason: Reason = ""
    detail: str = ""
    until: datetime | None = None


SEND = Verdict("send")
Question = Callable[[Case], Verdict | None]


def judge(case: Case, questions: Iterable[Question] | None = None) -> Verdict:
    """The first objection, or send. What would be deferred past its expiry is skipped at once, for that reason."""
    objections = (question(case) for question in questions or QUESTIONS)
    verdict = next((objection for objection in objections if objection), SEND)
    if verdict.until and verdict.until >= case.expires_at and verdict.reason != "no_contact":
        return Verdict("skip", verdict.reason, verdict.detail)
    return verdict


def consent(case: Case) -> Verdict | None:
    """Nobody is written to who is unknown, gone, without an address, or said no."""
    reach = REACH[case.step.channel]
    if not reach.customer:
        return None
    who = case.account.contacts.get(case.user or "")
    if who is None:
        return Verdict("skip" if case.at >= case.expires_at else "defer", "no_contact", until=case.expires_at)
    if who.gone:
        return Verdict("skip", "gone")
    if reach.address and not deliverable(who.email):
        return Verdict("skip", "no_address")
    no = declined(case.account, case.user or "", case.play.class_, case.play.topic)
    return Verdict("skip", "unsubscribed") if no else None


def holdout(case: Case) -> Verdict | None:
    """Held-out accounts are recorded at the moment they would have been contacted, so that both groups compare."""
    out = held_out(case.book.budget.holdout_salt, case.account.id, case.play.holdout)
    return Verdict("skip", "holdout") if out else None


def guard(case: Case) -> Verdict | None:
    """Every `when` holds for certain, and no `unless` does."""
    guards, bars = case.play.when + case.step.when, case.play.unless + case.step.unless
    if not guards and not bars:
        return None
    known = values(case.account.view, case.book)
    broken = (condition for condition in guards if not condition.holds(known))
    forbidden = (condition for condition in bars if condition.holds(known))
    against = next(broken, None) or next(forbidden, None)
    return Verdict("skip", "guard", _seen(against, known)) if against else None


def budget(case: Case) -> Verdict | None:
    """A person has room for one more; a play has no task open that nobody has closed."""
    if not REACH[case.step.channel].customer:
        task = case.account.tasks.get(case.play.name)
        still_open = task and task.delivery != case.delivery and task.at > case.at - case.book.budget.open_task
        return Verdict("skip", "open_task") if still_open else None
    over = full(case.account.spent, case.contact, case.book.budget)
    return Verdict("defer", "budget", over.cap, over.until) if over else None


def pause(case: Case) -> Verdict | None:
    """Nobody is asked for something while we owe them something."""
    rules = case.book.budget
    concerned = case.play.class_ in rules.paused and rules.pause.holds(values(case.account.view, case.book))
    return Verdict("defer", "urgent_ticket", rules.pause.text, case.at + LOOK_AGAIN) if concerned else None


def expiry(case: Case) -> Verdict | None:
    """Late help is no help."""
    return Verdict("skip", "expired") if case.at >= case.expires_at else None


def quiet(case: Case) -> Verdict | None:
    """Mail waits for the person's morning, unless it is about their money."""
    rules = case.book.budget
    if rules.quiet is None or not REACH[case.step.channel].quiet_hours or case.play.class_ == TRANSACTIONAL:
        return None
    who = case.account.contacts[case.user or ""]
    opens = allowed_from(case.at, who.timezone, rules.quiet, rules.timezone)
    return Verdict("defer", "quiet_hours", until=opens) if opens > case.at else None


QUESTIONS: tuple[Question, ...] = (consent, holdout, guard, budget, pause, expiry, quiet)
ONCE_MORE: tuple[Question, ...] = (consent, budget, pause, expiry, quiet)
"""Asked again just before sending, when some time has passed since it was planned."""
LAST_WORD: tuple[Question, ...] = (consent,)
"""Asked in the middle of the conversation: only a no counts that late."""


def _seen(condition: Expr, known: dict[str, str | float | bool | None]) -> str:
    seen = ", ".join(f"{name} = {known.get(name, 'unknown')}" for name in condition.names)
    return f"{condition.text} ({seen})" if seen else condition.text
