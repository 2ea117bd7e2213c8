"""Plays engine: what follows from a message (`apply`), or from time passing (`advance`).

An account has its own clock. Only lifecycle's messages, which come in order, and the wall clock of an account that
is not replaying move it. Steps due before a message are fired before it is read, with the account as it stood then.
A message first ends runs, then starts them.

Plays that answer the same thing give one answer, by their `causes` and `precedence`: while a play is at work, and for a while
after it last did something (`same_cause` of the budget), no other of the same cause starts. One of higher precedence takes
over instead: the other ends, and the new one begins when that while is over.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from services.notify.core.account_view import Message, fold
from services.notify.core.delivery import Decision, Verdict, delivery_id
from services.notify.core.playbook import (
    NO_STEP_CHANNEL,
    PRIORITY,
    Firing,
    Play,
    Playbook,
    Result,
    Step,
    decision_on,
    ended_run,
)
from services.notify.core.state import MAX_REQUEST_IDS, MAX_RUNS, UNORDERED, Account, PendingStep, Request, Run
from services.notify.core.stops import standing_stop, stop_by, stop_planned_sends
from shared.contracts.advocacy import OutreachRequested
from shared.contracts.lifecycle import (
    ClockAdvanced,
    ContactChanged,
    FlagChanged,
    MilestoneReached,
    SignalRaised,
    StageChanged,
)
from shared.contracts.lifecycle import Message as FromLifecycle

Due = tuple[Run, PendingStep]
_PATIENCE = timedelta(days=1)
"""So long a task waits for the messages before it in its run; then they are left out."""


def apply(account: Account, message: Message, book: Playbook) -> Result:
    """The account after a message, and what was decided. A repeated message changes nothing."""
    if _repeated(account, message):
        return account, []
    account, fired = _fire_before(_noted(account, message), message, book)
    before, account = account, fold(account, message, book)
    account, stopped = _stop_runs(before, account, message, book)
    account, started = _start_runs(account, message, book)
    if isinstance(message, ContactChanged):
        account = _wake_awaiting(account)
    return account, [*fired, *stopped, *started]


def advance(account: Account, until: datetime, book: Playbook) -> Result:
    """The account when the wall clock says `until`: what is due by then is fired.

    A replaying account waits, and so does one for which something waits that comes before (`order.py`).
    """
    return (account, []) if account.replaying or account.waits else _advance(account, until, book, inclusive=True)


def next_due(account: Account) -> datetime | None:
    """When `advance` has something to do next; None while there is nothing, or it would not."""
    if account.replaying or account.waits:
        return None
    return min((step.next_look for run in account.runs for step in run.next_steps), default=None)


def _repeated(account: Account, message: Message) -> bool:
    if isinstance(message, FromLifecycle):
        return message.seq <= account.seq
    return message.id in account.request_ids


def _noted(account: Account, message: Message) -> Account:
    if isinstance(message, FromLifecycle):
        return replace(account, seq=message.seq, replaying=account.replaying or message.history)
    if isinstance(message, OutreachRequested):
        return replace(account, request_ids=[*account.request_ids, message.id][-MAX_REQUEST_IDS:])
    return account


def _fire_before(account: Account, message: Message, book: Playbook) -> Result:
    """What is due before the message. One of the live world says nothing about the clock of a replaying account."""
    is_clock = isinstance(message, ClockAdvanced)
    drives = isinstance(message, FromLifecycle) and (is_clock or message.history or not account.replaying)
    return _advance(account, message.at, book, inclusive=is_clock) if drives else (account, [])


def _advance(account: Account, until: datetime, book: Playbook, *, inclusive: bool) -> Result:
    decisions: list[Decision] = []
    while (due := _next_step(account, book)) and (
        due[1].next_look < until or (inclusive and due[1].next_look == until)
    ):
        account, decided = _fire(account, *due, book)
        decisions += decided
    return replace(account, clock=max(account.clock or until, until)), decisions


# Starting: a message starts the plays that name it as their trigger, unless something speaks against another run.


def _start_runs(account: Account, message: Message, book: Playbook) -> Result:
    """The account with the runs this message starts, and what was not started, with the reason."""
    if isinstance(message, OutreachRequested):
        return _start_request(account, message, book)
    decisions: list[Decision] = []
    for play in _triggered(message, book):
        account = _start(account, play, message, book, decisions)
    return account, decisions


def _triggered(message: Message, book: Playbook) -> Iterable[Play]:
    if isinstance(message, FromLifecycle) and message.imported:
        return ()
    match message:
        case StageChanged():
            entered = book.triggered_by("stage", message.stage)
            return (play for play in entered if play.on and play.on.from_ in {None, message.previous})
        case FlagChanged(raised=True):
            return book.triggered_by("flag", message.flag)
        case SignalRaised():
            return book.triggered_by("signal", message.signal)
        case MilestoneReached(corrected=False):
            return book.triggered_by("milestone", message.milestone)
        case _:
            return ()


def _start_request(account: Account, message: OutreachRequested, book: Playbook) -> Result:
    play = book.plays.get(message.play)
    if play is None or play.on is not None:
        return account, [_unknown_play(account, message, account.clock or message.at)]
    request = Request(message.user, message.link, message.values, message.expires_at, message.history)
    decisions: list[Decision] = []
    return _start(account, play, message, book, decisions, request), decisions


def _start(
    account: Account,
    play: Play,
    message: Message,
    book: Playbook,
    decisions: list[Decision],
    request: Request | None = None,
) -> Account:
    run = _run(play, message.id, message.at, request)
    objection = _objection(account, play, run, book)
    if objection is None:
        begins = _begins_at(account, play, message.at, book)
        account, superseded = _take_over(account, play, book)
        decisions += superseded
        return replace(account, runs=[*account.runs, _run(play, message.id, begins, request)])
    at = account.clock or run.started_at
    decisions.append(decision_on(account, run, run.pending[0], objection, at, play, play.steps[0]))
    return account


def _objection(account: Account, play: Play, run: Run, book: Playbook) -> Verdict | None:
    if play.stages and account.view.stage not in play.stages:
        return Verdict("skip", "other_stage", account.view.stage)
    if stop := standing_stop(account, play, book):
        return Verdict("skip", "stopped", stop)
    if play.lacks or len(account.runs) >= MAX_RUNS:
        return Verdict("skip", "not_configured", play.lacks) if play.lacks else Verdict("skip", "crowded")
    if run.request is None and any(other.play == play.name for other in account.runs):
        return Verdict("skip", "running")
    last = account.last_contacted.get(play.name)
    cooling = last is not None and play.cooldown is not None and run.started_at - last < play.cooldown
    if cooling:
        return Verdict("skip", "resting")
    answer = _answered_by(account, play, run.started_at, book)
    return Verdict("skip", "same_cause", answer) if answer else None


def _run(play: Play, occurrence: str, at: datetime, request: Request | None = None) -> Run:
    """The run: its steps one behind the other as their times are, those of one time as they stand in the file."""
    steps, pending = sorted(play.steps, key=lambda step: step.after), list[PendingStep]()
    for position, step in enumerate(steps):
        task = next((later for later in steps[position + 1 :] if later.channel and later.channel.opens_task), None)
        place = position if step.channel else UNORDERED
        pending.append(_pending(step, at, request, place, at + task.after + _PATIENCE if task else None))
    return Run(play.name, occurrence, at, pending, request)


def _pending(
    step: Step, at: datetime, request: Request | None, position: int, gives_way_at: datetime | None
) -> PendingStep:
    due = at + step.after
    latest = [due + step.expires, *([request.expires_at] if request and request.expires_at else [])]
    user = request.user if request and step.addresses_customer else None
    return PendingStep(step.name, due, min(latest), user, position=position, gives_way_at=gives_way_at)


# Stopping: a run ends early when a stop of its play stands in the account, or is in the message.


def _stop_runs(before: Account, account: Account, message: Message, book: Playbook) -> Result:
    """The account without the runs this message ended; their remaining steps are recorded as skipped.

    What they decided on earlier, and may not have left yet, is not to leave any more.
    """
    decisions: list[Decision] = []
    for run in account.runs:
        play = book.plays.get(run.play)
        stop = play and stop_by(before, account, message, play, book)
        if play and stop:
            account, skipped = ended_run(account, run, play, stop)
            decisions += skipped
    return stop_planned_sends(before, account, message, book), decisions


# Firing: when a step falls due, its kind does its work.


def _next_step(account: Account, book: Playbook) -> Due | None:
    """What falls due first; of several at once, the more important class. A step waits for those before it in its run."""
    steps = ((run, step) for run in account.runs for step in run.next_steps)
    return min(steps, key=lambda due: _order(due[0], due[1], book), default=None)


def _order(run: Run, step: PendingStep, book: Playbook) -> tuple[datetime, int, str, str, int, str, str]:
    play = book.plays.get(run.play)
    priority = PRIORITY.index(play.class_) if play else len(PRIORITY)
    return step.next_look, priority, run.play, run.occurrence, step.position, step.step, step.user or ""


def _fire(account: Account, run: Run, pending: PendingStep, book: Playbook) -> Result:
    """The account with this step done or deferred, and what was decided."""
    at = max(pending.next_look, account.clock or pending.next_look)
    account = _without_step(replace(account, clock=at), run, pending)
    play = book.plays.get(run.play)
    step = play.step(pending.step) if play else None
    if play is None or step is None:
        return account, [decision_on(account, run, pending, Verdict("skip", "play_changed"), at)]
    return step.fire(Firing(account, run, pending, play, step, book, at))


def _without_step(account: Account, run: Run, done: PendingStep) -> Account:
    return account.with_pending(run, [step for step in account.pending_of(run) if step != done])


def _wake_awaiting(account: Account) -> Account:
    """A person became known: whatever waited for one is due now."""
    runs = [replace(run, pending=[_woken(account, step) for step in run.pending]) for run in account.runs]
    return replace(account, runs=runs)


def _woken(account: Account, step: PendingStep) -> PendingStep:
    met = step.user is None or step.user in account.contacts
    awaited = step.awaiting_contact and met
    return replace(step, due=account.clock or step.due, awaiting_contact=False) if awaited else step


def _unknown_play(account: Account, request: OutreachRequested, at: datetime) -> Decision:
    """A request for a play that is not in the playbook, or has a trigger of its own."""
    return Decision(
        id=delivery_id(request.play, account.id, request.id, "", request.user, NO_STEP_CHANNEL),
        account=account.id,
        play=request.play,
        version="",
        occurrence=request.id,
        step="",
        channel=NO_STEP_CHANNEL,
        outreach_class=request.outreach_class,
        topic="",
        template="",
        subject="",
        user=request.user,
        at=at,
        expires_at=request.expires_at or at,
        send=False,
        reason="unknown_play",
        history=account.replaying or request.history,
    )


def _answered_by(account: Account, play: Play, at: datetime, book: Playbook) -> str:
    """The play that answers a cause of this one already, and does not give way to it; empty where there is none."""
    at_work = {run.play for run in account.runs}
    for other in _answers(play, book):
        last = account.last_contacted.get(other.name)
        lately = last is not None and at < last + book.budget.same_cause
        if (other.name in at_work or lately) and not _outranks(play, other):
            return other.name
    return ""


def _begins_at(account: Account, play: Play, at: datetime, book: Playbook) -> datetime:
    """When it begins: at once, or a while after the last that those did which it takes over from."""
    last = (account.last_contacted.get(other.name) for other in _answers(play, book))
    return max([at, *(when + book.budget.same_cause for when in last if when is not None)])


def _take_over(account: Account, play: Play, book: Playbook) -> Result:
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
