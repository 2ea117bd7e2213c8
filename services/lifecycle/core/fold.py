"""What follows from one usage event? Start reading the core here.

First whatever fell due before it (`clock.py`), then what the event leaves behind (`traces.py`, `metrics/`), then what
it says by itself (`announce.py`), then the rules that read what it moved (`machine.py`).
"""

from collections.abc import Iterable
from datetime import datetime

from services.lifecycle.core.announce import announce
from services.lifecycle.core.clock import catch_up
from services.lifecycle.core.contacts import identify
from services.lifecycle.core.machine import enter, settle
from services.lifecycle.core.plan import EVERYTHING, Plan
from services.lifecycle.core.recent_events import mark, shown
from services.lifecycle.core.router import ClassPlan
from services.lifecycle.core.state import Account, PackedEvent
from services.lifecycle.core.tell import plain_evidence, tell
from services.lifecycle.core.traces import left_behind, properties, traits_told
from services.lifecycle.core.turn import DAY, Hit, Turn, in_utc, midnight
from shared.contracts.lifecycle import ClockAdvanced, LifecycleMessage
from shared.contracts.usage import HISTORY_ENDED, UsageEvent

_HAPPENINGS = frozenset({"track", "page", "screen"})


def fold(account: Account, event: UsageEvent, plan: Plan, decided_at: datetime) -> list[LifecycleMessage]:
    """Fold one event into the account, in place, and say what was decided, in order.

    An event older than the account's clock corrects what it left behind at its own time; what follows from the
    correction is decided at the account's clock.
    """
    turn = Turn(account, plan, decided_at)
    at = in_utc(event.at)
    if account.definition_version != plan.version:
        plan.recognise(account)
    if account.next_due is not None and account.next_due <= at:
        catch_up(turn, at)
    if at > account.clock:
        account.clock = at
        turn.day = at.toordinal()
    if event.name == HISTORY_ENDED:
        _history_ended(turn, event)
    else:
        _happened(turn, event, at)
    return turn.decisions


def by_account(events: Iterable[UsageEvent]) -> dict[str, list[UsageEvent]]:
    """The events of each account, in their order: accounts do not look at each other."""
    theirs: dict[str, list[UsageEvent]] = {}
    for event in events:
        theirs.setdefault(event.account, []).append(event)
    return theirs


def _happened(turn: Turn, event: UsageEvent, at: datetime) -> None:
    account = turn.account
    account.replaying = event.history is not None
    if at < account.first_seen:  # noqa: PLR1730  min() costs more than the whole line
        account.first_seen = at
    latest = mark(event, at)
    hit = Hit(at, at.toordinal(), event.user or "", "", {})
    classes: list[ClassPlan] = []
    moved = 0
    if event.type in _HAPPENINGS:
        classes, moved = left_behind(turn, event, hit, latest)
    elif event.type == "group":
        moved = traits_told(turn, properties(event), at, latest)
    account.known_stores |= moved & turn.plan.knowable
    if not account.stage:
        moved = _start(turn, latest)
    if event.type == "identify":
        identify(turn, event, properties(event))
    for of in classes:
        moved |= announce(turn, of, event, hit, latest)
    if moved:
        settle(turn, moved)


def _start(turn: Turn, latest: PackedEvent) -> int:
    """The account's first event: it begins where the definition's stages begin."""
    account = turn.account
    account.next_due = midnight(account.clock) + DAY
    why = plain_evidence(turn, "first seen", "The account was seen for the first time.", [shown(latest)])
    enter(turn, turn.plan.first_stage, why)
    return EVERYTHING


def _history_ended(turn: Turn, event: UsageEvent) -> None:
    """The import is over: with `live`, the wall clock drives the account from here."""
    if not turn.account.stage:
        return
    live = properties(event).get("live") is True
    turn.account.replaying = not live
    tell(turn, ClockAdvanced, live=live)
