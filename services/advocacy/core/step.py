"""What follows from this message, or from the passing of time? The only way an account's state moves with the log.

`apply` first lets pass the time until the message, then takes the message in. So whoever drives the clock, a timer
or the next message, each due moment is decided at itself, and how the log is cut into batches decides nothing.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from services.advocacy.core import asking, candidacy, inviting
from services.advocacy.core.account import Account
from services.advocacy.core.decisions import Decision, Delivered, Step
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.facts import observed
from services.advocacy.core.known import acquainted, clocked, consented, snapshotted
from shared.contracts.lifecycle import (
    ClockAdvanced,
    ContactChanged,
    FactObserved,
    FlagChanged,
    HealthChanged,
    LifecycleMessage,
    MilestoneReached,
    SignalRaised,
    StageChanged,
)
from shared.contracts.outreach import ConsentChanged, OutreachMessage, OutreachRecorded


def apply(account: Account, message: LifecycleMessage | OutreachMessage, definitions: Definitions) -> Step:
    """The account after this message, and what follows. One that was seen before changes nothing."""
    if isinstance(message, OutreachRecorded | ConsentChanged):
        return _OUTREACH[type(message)](account, message, definitions)
    if message.seq <= account.seq:
        return account, []
    account, decisions = advance(account, message.at, definitions, history=message.history)
    account, read = _LIFECYCLE[type(message)](clocked(account, message), message, definitions)
    account, surveys = inviting.told(account, message, definitions)
    account = asking.called(account, message, definitions)
    account, asks = asking.reconsidered(account, definitions, history=message.history)
    return account, [*decisions, *read, *surveys, *asks]


def advance(account: Account, until: datetime, definitions: Definitions, *, history: bool = False) -> Step:
    """Let the account's time pass, stopping at every moment at which something falls due."""
    decisions: list[Decision] = []
    while (due := next_due(account, definitions)) is not None and due <= until:
        account, surveys = inviting.come_of_age(replace(account, clock=due), definitions, history=history)
        account, asks = asking.reconsidered(account, definitions, history=history)
        decisions += [*surveys, *asks]
    return account, decisions


def next_due(account: Account, definitions: Definitions) -> datetime | None:
    """The next moment at which time alone may change something, on the account's clock."""
    moments = inviting.due_days(account, definitions) + candidacy.turning_points(account, definitions.referrals.ask)
    return min((moment for moment in moments if moment > account.clock), default=None)


def timer(account: Account, definitions: Definitions) -> datetime | None:
    """When the wall clock must wake this account; None while an import drives it."""
    return next_due(account, definitions) if account.live else None


def _snapshot(account: Account, message: Any, definitions: Definitions) -> Step:
    return snapshotted(account, message.snapshot, definitions), []


def _contact(account: Account, message: ContactChanged, _definitions: Definitions) -> Step:
    return acquainted(account, message), []


def _clock(account: Account, message: ClockAdvanced, _definitions: Definitions) -> Step:
    return replace(account, live=message.live), []


def _consent(account: Account, message: ConsentChanged, definitions: Definitions) -> Step:
    return asking.withdrawn(consented(account, message), definitions.referrals)


def _recorded(account: Account, message: OutreachRecorded, definitions: Definitions) -> Step:
    """Notify tells of a play, not of a request: it is about the latest invitation of that play."""
    invitation = _latest(account, message, definitions)
    if invitation is None:
        return account, []
    delivered = Delivered(
        account=account.id,
        at=message.at,
        history=message.history,
        id=invitation,
        status=message.status,
        reason=message.reason or "",
    )
    return account, [delivered]


def _latest(account: Account, message: OutreachRecorded, definitions: Definitions) -> str | None:
    sent = account.sent.get(message.user or "", {})
    plays = {survey.name: survey.play for survey in definitions.surveys}
    found = [(known.at, known.id) for name, known in sent.items() if plays.get(name) == message.play]
    if message.play == definitions.referrals.ask.play:
        found += [(ask.at, ask.id) for ask in account.asks if ask.user == message.user]
    return max(found)[1] if found else None


_Reaction = Callable[[Account, Any, Definitions], Step]

_LIFECYCLE: dict[type[LifecycleMessage], _Reaction] = {
    StageChanged: _snapshot,
    FlagChanged: _snapshot,
    SignalRaised: _snapshot,
    MilestoneReached: _snapshot,
    HealthChanged: _snapshot,
    ContactChanged: _contact,
    FactObserved: observed,
    ClockAdvanced: _clock,
}

_OUTREACH: dict[type[OutreachMessage], _Reaction] = {
    OutreachRecorded: _recorded,
    ConsentChanged: _consent,
}
