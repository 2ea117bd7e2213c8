"""Does a message start a play? Those that name it as their trigger, unless something speaks against another run."""

from collections.abc import Iterable
from datetime import datetime

from services.notify.core.planned import Planned
from services.notify.core.playbook import Play, Playbook, Step
from services.notify.core.policy import Verdict
from services.notify.core.reach import REACH
from services.notify.core.runs import begun
from services.notify.core.state import MOST_RUNS, Account, Ask, Item, Run
from services.notify.core.stops import already
from services.notify.core.tell import told, unknown
from services.notify.core.view import Message
from shared.contracts.advocacy import OutreachRequested
from shared.contracts.lifecycle import FlagChanged, MilestoneReached, SignalRaised, StageChanged


def start(account: Account, message: Message, book: Playbook) -> tuple[Account, list[Planned]]:
    """The account with the runs this message starts, and what was not started, with the reason."""
    if isinstance(message, OutreachRequested):
        return _requested(account, message, book)
    planned: list[Planned] = []
    for play in _triggered(message, book):
        account = _begin(account, play, _run(play, message.id, message.at), book, planned)
    return account, planned


def _triggered(message: Message, book: Playbook) -> Iterable[Play]:
    match message:
        case StageChanged():
            entered = book.on("stage", message.stage)
            return (play for play in entered if play.on and play.on.from_ in {None, message.previous})
        case FlagChanged(raised=True):
            return book.on("flag", message.flag)
        case SignalRaised():
            return book.on("signal", message.signal)
        case MilestoneReached(corrected=False):
            return book.on("milestone", message.milestone)
        case _:
            return ()


def _requested(account: Account, message: OutreachRequested, book: Playbook) -> tuple[Account, list[Planned]]:
    play = book.plays.get(message.play)
    if play is None or play.on is not None:
        return account, [unknown(account, message, account.clock or message.at)]
    ask = Ask(message.user, message.link, message.values, message.expires_at, message.history)
    planned: list[Planned] = []
    return _begin(account, play, _run(play, message.id, message.at, ask), book, planned), planned


def _begin(account: Account, play: Play, run: Run, book: Playbook, planned: list[Planned]) -> Account:
    against = _objection(account, play, run, book)
    if against is None:
        return begun(account, run)
    at = account.clock or run.started_at
    planned.append(told(account, run, run.items[0], against, at, play, play.steps[0]))
    return account


def _objection(account: Account, play: Play, run: Run, book: Playbook) -> Verdict | None:
    if play.stages and account.view.stage not in play.stages:
        return Verdict("skip", "other_stage", account.view.stage)
    if end := already(account, play, book):
        return Verdict("skip", "stopped", end)
    if len(account.runs) >= MOST_RUNS:
        return Verdict("skip", "crowded")
    if run.ask is None and any(other.play == play.name for other in account.runs):
        return Verdict("skip", "running")
    last = account.contacted.get(play.name)
    resting = last is not None and play.cooldown is not None and run.started_at - last < play.cooldown
    return Verdict("skip", "resting") if resting else None


def _run(play: Play, occurrence: str, at: datetime, ask: Ask | None = None) -> Run:
    return Run(play.name, occurrence, at, [_item(step, at, ask) for step in play.steps], ask)


def _item(step: Step, at: datetime, ask: Ask | None) -> Item:
    due = at + step.after
    latest = [due + step.expires, *([ask.expires_at] if ask and ask.expires_at else [])]
    return Item(step.name, due, min(latest), ask.user if ask and REACH[step.channel].customer else None)
