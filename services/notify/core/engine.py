"""Plays engine: what follows from a message (`apply`), or from time passing (`advance`).

An account has its own clock. Only lifecycle's messages, which come in order, and the wall clock of an account that
is not replaying move it. Steps due before a message are fired before it is read, with the account as it stood then.
A message first ends runs, then starts them.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace

from services.notify.core.account_view import Message, condition_values, fold, template_values
from services.notify.core.budget import still_counting
from services.notify.core.delivery import Decision, delivery_id
from services.notify.core.playbook import PRIORITY, MessageStep, Play, Playbook, Step, StopCondition
from services.notify.core.policy import Case, Verdict, judge, recipients
from services.notify.core.state import (
    MAX_REQUEST_IDS,
    MAX_RUNS,
    TRANSACTIONAL,
    Account,
    OpenTask,
    PendingStep,
    Request,
    Run,
)
from shared.contracts.advocacy import OutreachRequested
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import (
    ClockAdvanced,
    ContactChanged,
    FactObserved,
    FlagChanged,
    MilestoneReached,
    SignalRaised,
    StageChanged,
)
from shared.contracts.lifecycle import Message as FromLifecycle

Result = tuple[Account, list[Decision]]
Due = tuple[Run, PendingStep]
FiredMessage = tuple[Playbook, Play, MessageStep, datetime]

_NO_STEP_CHANNEL = "email"
"""The channel in decisions about steps that are not in the playbook: part of their derived ids, so it never changes."""
_NO_VALUES: Mapping[str, Value] = {}


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
    """The account when the wall clock says `until`: what is due by then is fired. A replaying account waits."""
    return (account, []) if account.replaying else _advance(account, until, book, inclusive=True)


def next_due(account: Account) -> datetime | None:
    """When `advance` has something to do next; None while there is nothing, or an import drives the account."""
    dues = (step.due for run in account.runs for step in run.pending)
    return None if account.replaying else min(dues, default=None)


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
    while (due := _next_step(account, book)) and (due[1].due < until or (inclusive and due[1].due == until)):
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
        account = _start(account, play, _run(play, message.id, message.at), book, decisions)
    return account, decisions


def _triggered(message: Message, book: Playbook) -> Iterable[Play]:
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
    return _start(account, play, _run(play, message.id, message.at, request), book, decisions), decisions


def _start(account: Account, play: Play, run: Run, book: Playbook, decisions: list[Decision]) -> Account:
    objection = _objection(account, play, run, book)
    if objection is None:
        return replace(account, runs=[*account.runs, run])
    at = account.clock or run.started_at
    decisions.append(_decision(account, run, run.pending[0], objection, at, play, play.steps[0]))
    return account


def _objection(account: Account, play: Play, run: Run, book: Playbook) -> Verdict | None:
    if play.stages and account.view.stage not in play.stages:
        return Verdict("skip", "other_stage", account.view.stage)
    if stop := _standing_stop(account, play, book):
        return Verdict("skip", "stopped", stop)
    if len(account.runs) >= MAX_RUNS:
        return Verdict("skip", "crowded")
    if run.request is None and any(other.play == play.name for other in account.runs):
        return Verdict("skip", "running")
    last = account.last_contacted.get(play.name)
    cooling = last is not None and play.cooldown is not None and run.started_at - last < play.cooldown
    return Verdict("skip", "resting") if cooling else None


def _run(play: Play, occurrence: str, at: datetime, request: Request | None = None) -> Run:
    return Run(play.name, occurrence, at, [_pending(step, at, request) for step in play.steps], request)


def _pending(step: Step, at: datetime, request: Request | None) -> PendingStep:
    due = at + step.after
    latest = [due + step.expires, *([request.expires_at] if request and request.expires_at else [])]
    user = request.user if request and step.addresses_customer else None
    return PendingStep(step.name, due, min(latest), user)


# Stopping: a run ends early when a stop of its play stands in the account, or is in the message.


def _stop_runs(before: Account, account: Account, message: Message, book: Playbook) -> Result:
    """The account without the runs this message ended; their remaining steps are recorded as skipped."""
    decisions: list[Decision] = []
    for run in account.runs:
        play = book.plays.get(run.play)
        stop = play and (_standing_stop(account, play, book) or _stop_in(before, account, message, play))
        if play and stop:
            decisions += _skipped_by(account, run, play, stop)
            account = replace(account, runs=[other for other in account.runs if not _same(other, run)])
    return account, decisions


def _standing_stop(account: Account, play: Play, book: Playbook) -> str:
    """The stop that holds in the account as it is, empty when none does."""
    return next((stop.text for stop in play.stops if _holds(account, play, stop, book)), "")


def _holds(account: Account, play: Play, condition: StopCondition, book: Playbook) -> bool:
    view, stop = account.view, condition.stop
    if stop.stage:
        return bool(view.stage) and view.stage not in play.stages
    if stop.milestone:
        return stop.milestone in view.milestones
    return condition.when is not None and condition.when.holds(condition_values(view, book))


def _stop_in(before: Account, account: Account, message: Message, play: Play) -> str:
    """The stop that only this message shows: a flag that was cleared, a signal, a fact."""
    cleared = {*before.view.flags} - {*account.view.flags}
    signal = message.signal if isinstance(message, SignalRaised) else None
    fact = message.fact if isinstance(message, FactObserved) else None
    for condition in play.stops:
        stop = condition.stop
        matches = stop.signal and stop.signal == signal
        if stop.flag_cleared in cleared or matches or (stop.fact and stop.fact == fact):
            return condition.text
    return ""


def _skipped_by(account: Account, run: Run, play: Play, stop: str) -> Iterable[Decision]:
    at = account.clock or run.started_at
    for step in run.pending:
        yield _decision(account, run, step, Verdict("skip", "stopped", stop), at, play, play.step(step.step))


# Firing: when a step falls due, each person it addresses is judged; every verdict is recorded or deferred.


def _next_step(account: Account, book: Playbook) -> Due | None:
    """What falls due first; of several at once, the more important class."""
    steps = ((run, step) for run in account.runs for step in run.pending)
    return min(steps, key=lambda due: _order(due[0], due[1], book), default=None)


def _order(run: Run, step: PendingStep, book: Playbook) -> tuple[datetime, int, str, str, str, str]:
    play = book.plays.get(run.play)
    priority = PRIORITY.index(play.class_) if play else len(PRIORITY)
    return step.due, priority, run.play, run.occurrence, step.step, step.user or ""


def _fire(account: Account, run: Run, pending: PendingStep, book: Playbook) -> Result:
    """The account with this step done or deferred, and what was decided."""
    at = max(pending.due, account.clock or pending.due)
    account = _without_step(replace(account, clock=at), run, pending)
    play = book.plays.get(run.play)
    step = play.step(pending.step) if play else None
    if play is None or step is None:
        return account, [_decision(account, run, pending, Verdict("skip", "play_changed"), at)]
    match step:
        case MessageStep():
            return _fire_message(account, run, pending, (book, play, step, at))


def _fire_message(account: Account, run: Run, pending: PendingStep, fired: FiredMessage) -> Result:
    """Each person the message addresses is judged."""
    _, play, step, _ = fired
    decisions: list[Decision] = []
    for user in _users(account, play, step, pending):
        one = replace(pending, user=user, awaiting_contact=False)
        account = _decide(account, run, one, fired, decisions)
    return account, decisions


def _users(account: Account, play: Play, step: MessageStep, pending: PendingStep) -> list[str | None]:
    if pending.user is not None or not step.channel.reaches_customer:
        return [pending.user]
    return [*recipients(account, play, step)] or [None]


def _decide(
    account: Account, run: Run, pending: PendingStep, fired: FiredMessage, decisions: list[Decision]
) -> Account:
    book, play, step, at = fired
    delivery = delivery_id(play.name, account.id, run.occurrence, step.name, pending.user, step.channel.name)
    verdict = judge(Case(account, book, play, step, pending.user, delivery, at, pending.expires_at))
    if verdict.action == "defer":
        deferred = replace(pending, due=verdict.until or at, awaiting_contact=verdict.reason == "no_contact")
        return _with_step(account, run, deferred)
    values = template_values(account, pending.user, run.request, at) if verdict.action == "send" else {}
    decision = _decision(account, run, pending, verdict, at, play, step, values)
    decisions.append(decision)
    return _remember(account, decision, step, book)


def _remember(account: Account, decision: Decision, step: MessageStep, book: Playbook) -> Account:
    """Its cooldown, its budget entry, its open task. A held-out account cools down as if it had been contacted."""
    if decision.send or decision.reason == "holdout":
        account = replace(account, last_contacted=account.last_contacted | {decision.play: decision.at})
    if not decision.send:
        return account
    if step.channel.opens_task:
        task = OpenTask(decision.id, decision.at, decision.history)
        return replace(account, open_tasks=account.open_tasks | {decision.play: task})
    if not step.channel.reaches_customer or decision.outreach_class == TRANSACTIONAL:
        return account
    entries = still_counting(account.budget_entries, decision.at, book.budget)
    return replace(account, budget_entries=[*entries, decision.budget_entry(decision.at)])


# Runs: adding and removing their pending steps, one value to the next.


def _without_step(account: Account, run: Run, done: PendingStep) -> Account:
    """Without this step; a run with nothing left to do is over."""
    return _with_pending(account, run, [step for step in _pending_of(account, run) if step != done])


def _with_step(account: Account, run: Run, step: PendingStep) -> Account:
    """With this step to come, also where the run would have been over without it."""
    return _with_pending(account, run, [*_pending_of(account, run), step])


def _wake_awaiting(account: Account) -> Account:
    """A person became known: whatever waited for one is due now."""
    runs = [replace(run, pending=[_woken(account, step) for step in run.pending]) for run in account.runs]
    return replace(account, runs=runs)


def _woken(account: Account, step: PendingStep) -> PendingStep:
    met = step.user is None or step.user in account.contacts
    awaited = step.awaiting_contact and met
    return replace(step, due=account.clock or step.due, awaiting_contact=False) if awaited else step


def _pending_of(account: Account, run: Run) -> list[PendingStep]:
    return next((other.pending for other in account.runs if _same(other, run)), [])


def _with_pending(account: Account, run: Run, pending: list[PendingStep]) -> Account:
    others = [other for other in account.runs if not _same(other, run)]
    return replace(account, runs=[*others, replace(run, pending=pending)] if pending else others)


def _same(run: Run, other: Run) -> bool:
    return (run.play, run.occurrence) == (other.play, other.occurrence)


def _decision(
    account: Account,
    run: Run,
    pending: PendingStep,
    verdict: Verdict,
    at: datetime,
    play: Play | None = None,
    step: Step | None = None,
    values: Mapping[str, Value] = _NO_VALUES,
) -> Decision:
    """The decision on one step of a run. Without play and step: they are not in the playbook any more."""
    message = step if isinstance(step, MessageStep) else None
    channel = message.channel.name if message else _NO_STEP_CHANNEL
    return Decision(
        id=delivery_id(run.play, account.id, run.occurrence, pending.step, pending.user, channel),
        account=account.id,
        play=run.play,
        version=play.version if play else "",
        occurrence=run.occurrence,
        step=pending.step,
        channel=channel,
        outreach_class=play.class_ if play else "transactional",
        topic=play.topic if play else "",
        template=message.template if message else "",
        subject=message.subject if message else "",
        user=pending.user,
        at=at,
        expires_at=pending.expires_at,
        send=verdict.action == "send",
        reason=verdict.reason,
        detail=verdict.detail,
        history=account.replaying or (run.request is not None and run.request.history),
        values=dict(values),
    )


def _unknown_play(account: Account, request: OutreachRequested, at: datetime) -> Decision:
    """A request for a play that is not in the playbook, or has a trigger of its own."""
    return Decision(
        id=delivery_id(request.play, account.id, request.id, "", request.user, _NO_STEP_CHANNEL),
        account=account.id,
        play=request.play,
        version="",
        occurrence=request.id,
        step="",
        channel=_NO_STEP_CHANNEL,
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
