"""Stops: what ends a play early, for its runs, and for the messages that it decided on and that have not left yet."""

from msgspec.structs import replace

from services.notify.core.account_view import Message, condition_values
from services.notify.core.playbook import Play, Playbook, StopCondition
from services.notify.core.state import Account, PlannedSend
from shared.contracts.lifecycle import FactObserved, SignalRaised


def standing_stop(account: Account, play: Play, book: Playbook) -> str:
    """The stop that holds in the account as it is, empty when none does."""
    return next((stop.text for stop in play.stops if _holds(account, play, stop, book)), "")


def stop_by(before: Account, account: Account, message: Message, play: Play, book: Playbook) -> str:
    """The stop of the play that stands in the account after this message, or is in the message; empty when there is none."""
    return standing_stop(account, play, book) or _stop_in(before, account, message, play)


def stop_planned_sends(before: Account, account: Account, message: Message, book: Playbook) -> Account:
    """The account with a note at each message to send whose play this message ends: it is not to leave any more."""
    if not account.planned_sends:
        return account
    plays = {one.play for one in account.planned_sends}
    found = {name: _stop_of(name, before, account, message, book) for name in plays}
    sends = [one if one.stopped else _noted(one, found[one.play]) for one in account.planned_sends]
    return account if sends == account.planned_sends else replace(account, planned_sends=sends)


def _stop_of(name: str, before: Account, account: Account, message: Message, book: Playbook) -> str:
    play = book.plays.get(name)
    if play is None:
        return ""
    return stop_by(before, account, message, play, book) or _cause_over(before, account, play)


def _cause_over(before: Account, account: Account, play: Play) -> str:
    """The flag that started the play, where it was cleared: later steps may be meant for that, this message was not."""
    flag = play.on.flag if play.on else None
    return f"flag_cleared {flag}" if flag in before.view.flags and flag not in account.view.flags else ""


def _noted(one: PlannedSend, stop: str) -> PlannedSend:
    return replace(one, stopped=stop) if stop else one


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
