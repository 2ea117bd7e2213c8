"""Policy: whether a message may go to a person now. Checks in a fixed order; the first objection is the verdict."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from services.notify.core.account_view import condition_values
from services.notify.core.budget import allowed_from, exceeded_cap
from services.notify.core.channels import ChannelTraits
from services.notify.core.delivery import Decision, Verdict
from services.notify.core.playbook import Play, Playbook, Step
from services.notify.core.state import (
    ANSWERABLE,
    TRANSACTIONAL,
    Account,
    BudgetEntry,
    Contact,
    has_declined,
    refused_elsewhere,
)
from services.notify.core.stops import standing_stop
from shared.contracts.evidence import Value
from shared.expr import Expr

_PAUSED_FOR = timedelta(days=1)
_ANY_ROLE = "any"
_DRAWS = 2**64


class Case(NamedTuple):
    """What a check judges: this delivery of this play, at this moment; `spent` is what the person got from any account.

    `decided_in` is the stage of the account when an earlier decision was made, empty for a fresh one.
    """

    account: Account
    book: Playbook
    play: Play
    step: Step
    channel: ChannelTraits
    user: str | None
    delivery: str
    at: datetime
    expires_at: datetime
    occurrence: str
    spent: tuple[BudgetEntry, ...] = ()
    decided_in: str = ""

    @property
    def budget_entry(self) -> BudgetEntry:
        """The contact, as the budget would count it."""
        return BudgetEntry(self.delivery, self.user or "", self.play.class_, self.play.topic, self.at)


SEND = Verdict("send")
Check = Callable[[Case], Verdict | None]


def judge(case: Case, checks: Iterable[Check] | None = None) -> Verdict:
    """The first objection, or send. What would be deferred past its expiry is skipped at once, for that reason."""
    objections = (check(case) for check in checks or CHECKS)
    verdict = next((objection for objection in objections if objection), SEND)
    if verdict.until and verdict.until >= case.expires_at and verdict.reason != "no_contact":
        return Verdict("skip", verdict.reason, verdict.detail)
    return verdict


def recheck(
    account: Account,
    decision: Decision,
    now: datetime,
    book: Playbook,
    checks: Iterable[Check] | None = None,
    spent: Iterable[BudgetEntry] = (),
) -> Verdict:
    """Whether an earlier decision to send still stands, just before sending; `spent` is what the person got from any account."""
    play = book.plays.get(decision.play)
    step = play.step(decision.step) if play else None
    if decision.history or play is None or step is None or step.channel is None:
        return Verdict("skip", "history" if decision.history else "play_changed")
    channel = book.channels.get(decision.channel, step.channel)  # the play may have changed since
    stage = str(decision.values.get("stage", ""))
    of = decision.user, decision.id, now, decision.expires_at, decision.occurrence
    case = Case(account, book, play, step, channel, *of, (*spent,), stage)
    return judge(case, checks or RECHECKS)


def recipients(account: Account, play: Play, channel: ChannelTraits) -> list[str]:
    """Users the play addresses on the channel: those of the first role of the play that somebody reachable has.

    Those who declined, or whose address nobody trusted told, come last: with nobody else, that is what is recorded.
    """
    people = ((user, contact) for user, contact in account.contacts.items() if _reachable(contact, channel))
    ranked = sorted((rank, user) for user, contact in people if (rank := _rank(contact, play)) is not None)
    willing = [(rank, user) for rank, user in ranked if _willing(account, user, play, channel)]
    chosen = willing or ranked
    best = [user for rank, user in chosen if rank == chosen[0][0]]
    return best[: play.audience.max_recipients]


def held_out(salt: str, account: str, share: float) -> bool:
    """Whether the account belongs to the share that is not contacted, to see what a play is worth.

    Drawn once, by hash: an account never changes sides.
    """
    draw = int.from_bytes(sha256(f"{salt}\x1f{account}".encode()).digest()[:8])
    return draw < share * _DRAWS


def check_consent(case: Case) -> Verdict | None:
    """Nobody is written to who is unknown, gone, without an address, or has declined, here or elsewhere."""
    if not case.channel.reaches_customer:
        return None
    contact = case.account.contacts.get(case.user or "")
    if contact is None:
        return Verdict("skip" if case.at >= case.expires_at else "defer", "no_contact", until=case.expires_at)
    if contact.gone:
        return Verdict("skip", "gone")
    if not case.channel.address_rule(contact):
        return Verdict("skip", "no_address")
    message = case.play.class_, case.play.topic
    refusal = refused_elsewhere(case.account, case.user or "", *message)
    if refusal is not None and refusal.reason not in ANSWERABLE:
        return Verdict("skip", "bounced" if refusal.reason == "bounced" else "complained")
    declined = refusal is not None or has_declined(case.account, case.user or "", *message)
    return Verdict("skip", "unsubscribed") if declined else None


def check_address_trusted(case: Case) -> Verdict | None:
    """Mail goes to addresses that a trusted source told: what a public key says may be anybody's."""
    contact = case.account.contacts.get(case.user or "")
    trusted = contact is None or contact.email_trusted or not case.channel.needs_address
    return None if trusted else Verdict("skip", "unverified")


def check_holdout(case: Case) -> Verdict | None:
    """Held-out accounts are recorded at the moment they would have been contacted, so that both groups compare."""
    out = held_out(case.book.budget.holdout_salt, case.account.id, case.play.holdout)
    return Verdict("skip", "holdout") if out else None


def check_conditions(case: Case) -> Verdict | None:
    """Every `when` holds for certain, and no `unless` does."""
    when, unless = case.play.when + case.step.when, case.play.unless + case.step.unless
    if not when and not unless:
        return None
    values = condition_values(case.account.view, case.book)
    missed = (condition for condition in when if not condition.holds(values))
    forbidding = (condition for condition in unless if condition.holds(values))
    objection = next(missed, None) or next(forbidding, None)
    return Verdict("skip", "guard", _with_values(objection, values)) if objection else None


def check_stops(case: Case) -> Verdict | None:
    """The play goes on: nothing ended it since the decision, and none of its stops holds."""
    stop = case.account.stopped(case.delivery) or standing_stop(case.account, case.play, case.book)
    return Verdict("skip", "stopped", stop) if stop else None


def check_stage(case: Case) -> Verdict | None:
    """An account that was in a stage of the play when this was decided, or in the one that started it, is in one still."""
    stage, on = case.account.view.stage, case.play.on
    stages = case.play.stages or frozenset([on.stage] if on and on.stage else [])
    return Verdict("skip", "other_stage", stage) if case.decided_in in stages and stage not in stages else None


def check_budget(case: Case) -> Verdict | None:
    """A person has room for one more; no earlier run of the play has a task open that nobody has closed.

    The tasks of one run follow each other: that the first is still open is what the second is for.
    """
    if case.channel.opens_task:
        task = case.account.open_tasks.get(case.play.name)
        still_open = task and task.occurrence != case.occurrence and task.at > case.at - case.book.budget.open_task
        return Verdict("skip", "open_task") if still_open else None
    if not case.channel.is_contact:
        return None
    exceeded = exceeded_cap(case.account.budget_entries, case.budget_entry, case.book.budget, case.spent)
    return Verdict("defer", "budget", exceeded.cap, exceeded.until) if exceeded else None


def check_person_budget(case: Case) -> Verdict | None:
    """The person has room for one more beside what they got from other accounts."""
    if not case.channel.is_contact:
        return None
    exceeded = exceeded_cap((), case.budget_entry, case.book.budget, case.spent)
    return Verdict("defer", "budget", exceeded.cap, exceeded.until) if exceeded else None


def check_pause(case: Case) -> Verdict | None:
    """Nobody is asked for something while we owe them something."""
    budget = case.book.budget
    paused = case.play.class_ in budget.paused and budget.pause.holds(condition_values(case.account.view, case.book))
    return Verdict("defer", "urgent_ticket", budget.pause.text, case.at + _PAUSED_FOR) if paused else None


def check_unhappy(case: Case) -> Verdict | None:
    """Who is unhappy gets help, not praise and no offers."""
    unhappy = case.book.budget.unhappy
    if unhappy is None or case.play.class_ not in unhappy.classes:
        return None
    values = condition_values(case.account.view, case.book)
    reason = next((condition for condition in unhappy.when if condition.holds(values)), None)
    if reason is None or any(condition.holds(values) for condition in unhappy.unless):
        return None
    return Verdict("skip", "unhappy", _with_values(reason, values))


def check_expiry(case: Case) -> Verdict | None:
    """Late help is no help."""
    return Verdict("skip", "expired") if case.at >= case.expires_at else None


def check_quiet_hours(case: Case) -> Verdict | None:
    """Mail waits for the person's morning, unless it is about their money."""
    budget = case.book.budget
    if budget.quiet is None or not case.channel.quiet_hours or case.play.class_ == TRANSACTIONAL:
        return None
    contact = case.account.contacts.get(case.user or "")
    opens = allowed_from(case.at, contact.timezone if contact else None, budget.quiet, budget.timezone)
    return Verdict("defer", "quiet_hours", until=opens) if opens > case.at else None


CHECKS: tuple[Check, ...] = (
    check_consent,
    check_address_trusted,
    check_holdout,
    check_conditions,
    check_unhappy,
    check_budget,
    check_pause,
    check_expiry,
    check_quiet_hours,
)
RECHECKS: tuple[Check, ...] = (
    check_consent,
    check_address_trusted,
    check_stops,
    check_stage,
    check_holdout,
    check_conditions,
    check_unhappy,
    check_budget,
    check_pause,
    check_expiry,
    check_quiet_hours,
)
"""Made again of an earlier decision whenever it is about to leave: all that a fresh one is asked, and whether its play goes on."""
PERSON_CHECKS: tuple[Check, ...] = (check_person_budget,)
"""Made of a fresh decision, which the account alone has judged."""
CONFIRM_CHECKS: tuple[Check, ...] = (
    check_consent,
    check_address_trusted,
    check_stops,
    check_stage,
    check_conditions,
    check_unhappy,
    check_expiry,
)
"""Made in the middle of the conversation, which may take minutes: whatever has made the message wrong since its claim."""


def _reachable(contact: Contact, channel: ChannelTraits) -> bool:
    return not contact.gone and channel.address_rule(contact)


def _willing(account: Account, user: str, play: Play, channel: ChannelTraits) -> bool:
    message = play.class_, play.topic
    if has_declined(account, user, *message) or refused_elsewhere(account, user, *message):
        return False
    return account.contacts[user].email_trusted or not channel.needs_address


def _rank(contact: Contact, play: Play) -> int | None:
    role = (contact.role or "").lower()
    fits = (index for index, wanted in enumerate(play.audience.roles) if wanted in {role, _ANY_ROLE})
    return next(fits, None)


def _with_values(condition: Expr, values: dict[str, Value]) -> str:
    known = {name: value for name, value in values.items() if value is not None}
    read = ", ".join(f"{name} = {known.get(name, 'unknown')}" for name in condition.names)
    return f"{condition.text} ({read})" if read else condition.text
