"""What follows from this message, or from time passing? The two entrances of the core: `apply` and `advance`.

An account has its own clock. Only lifecycle's messages, which come in order, and the wall clock of an account that
is not held move it. Steps due before a message are fired before it is read, with the account as it stood then.
"""

from datetime import datetime

from msgspec.structs import replace

from services.notify.core.firing import fire, next_item
from services.notify.core.planned import Planned
from services.notify.core.playbook import Playbook
from services.notify.core.runs import awaited
from services.notify.core.starts import start
from services.notify.core.state import MOST_REQUESTS_SEEN, Account
from services.notify.core.stops import stop
from services.notify.core.view import Message, fold
from shared.contracts.advocacy import OutreachRequested
from shared.contracts.lifecycle import ClockAdvanced, ContactChanged
from shared.contracts.lifecycle import Message as FromLifecycle

Result = tuple[Account, list[Planned]]


def apply(account: Account, message: Message, book: Playbook) -> Result:
    """The account after a message, and what was decided. A message that comes again changes nothing."""
    if _repeated(account, message):
        return account, []
    account, fired = _up_to(_noted(account, message), message, book)
    before, account = account, fold(account, message, book)
    account, stopped = stop(before, account, message, book)
    account, begun = start(account, message, book)
    if isinstance(message, ContactChanged):
        account = awaited(account)
    return account, [*fired, *stopped, *begun]


def advance(account: Account, until: datetime, book: Playbook) -> Result:
    """The account when the wall clock says `until`: what is due by then is fired. A held account waits."""
    return (account, []) if account.held else _advance(account, until, book, also_then=True)


def next_due(account: Account) -> datetime | None:
    """When `advance` has something to do next; None while there is nothing, or an import drives the account."""
    dues = (item.due for run in account.runs for item in run.items)
    return None if account.held else min(dues, default=None)


def _repeated(account: Account, message: Message) -> bool:
    if isinstance(message, FromLifecycle):
        return message.seq <= account.seq
    return message.id in account.requests


def _noted(account: Account, message: Message) -> Account:
    if isinstance(message, FromLifecycle):
        return replace(account, seq=message.seq, held=account.held or message.history)
    if isinstance(message, OutreachRequested):
        return replace(account, requests=[*account.requests, message.id][-MOST_REQUESTS_SEEN:])
    return account


def _up_to(account: Account, message: Message, book: Playbook) -> Result:
    """What is due before the message. One of the live world says nothing about the clock of a held account."""
    ends = isinstance(message, ClockAdvanced)
    drives = isinstance(message, FromLifecycle) and (ends or message.history or not account.held)
    return _advance(account, message.at, book, also_then=ends) if drives else (account, [])


def _advance(account: Account, until: datetime, book: Playbook, *, also_then: bool) -> Result:
    planned: list[Planned] = []
    while (due := next_item(account, book)) and (due[1].due < until or (also_then and due[1].due == until)):
        account, decided = fire(account, *due, book)
        planned += decided
    return replace(account, clock=max(account.clock or until, until)), planned
