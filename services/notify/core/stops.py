"""Does a run end before its time? What the play names as its end, seen in the account or in the message."""

from collections.abc import Iterable

from services.notify.core.planned import Planned
from services.notify.core.playbook import Ending, Play, Playbook
from services.notify.core.policy import Verdict
from services.notify.core.runs import ended
from services.notify.core.state import Account, Run
from services.notify.core.tell import told
from services.notify.core.view import Message, values
from shared.contracts.lifecycle import FactObserved, SignalRaised


def stop(before: Account, account: Account, message: Message, book: Playbook) -> tuple[Account, list[Planned]]:
    """The account without the runs this message ended; their remaining steps are told as skipped."""
    planned: list[Planned] = []
    for run in account.runs:
        play = book.plays.get(run.play)
        why = play and (already(account, play, book) or _just_now(before, account, message, play))
        if play and why:
            planned += _dropped(account, run, play, why)
            account = ended(account, run)
    return account, planned


def already(account: Account, play: Play, book: Playbook) -> str:
    """The end that stands in the account as it is, empty when none does."""
    return next((ending.text for ending in play.endings if _stands(account, play, ending, book)), "")


def _stands(account: Account, play: Play, ending: Ending, book: Playbook) -> bool:
    view, end = account.view, ending.stop
    if end.stage:
        return bool(view.stage) and view.stage not in play.stages
    if end.milestone:
        return end.milestone in view.milestones
    return ending.holds is not None and ending.holds.holds(values(view, book))


def _just_now(before: Account, account: Account, message: Message, play: Play) -> str:
    """The end that only this message tells: a flag that came down, a signal, a fact."""
    cleared = {*before.view.flags} - {*account.view.flags}
    signal = message.signal if isinstance(message, SignalRaised) else None
    fact = message.fact if isinstance(message, FactObserved) else None
    for ending in play.endings:
        end = ending.stop
        if end.flag_cleared in cleared or (end.signal and end.signal == signal) or (end.fact and end.fact == fact):
            return ending.text
    return ""


def _dropped(account: Account, run: Run, play: Play, why: str) -> Iterable[Planned]:
    at = account.clock or run.started_at
    for item in run.items:
        yield told(account, run, item, Verdict("skip", "stopped", why), at, play, play.step(item.step))
