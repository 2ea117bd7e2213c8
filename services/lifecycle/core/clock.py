"""What falls due while time passes? One tick at each midnight (UTC) of the account's own clock.

Windows, health, holds, dwells and cooldowns move at midnight only, so time has one mechanism. At a shared instant the
tick comes before the event. Between ticks the clock stands at the latest event: so `advance` in small steps is
`advance` in one.
"""

from datetime import datetime

from services.lifecycle.core.active_members import sweep
from services.lifecycle.core.health_tick import evaluate_health
from services.lifecycle.core.machine import settle
from services.lifecycle.core.metrics.builtin import TIME
from services.lifecycle.core.plan import Plan
from services.lifecycle.core.state import Account
from services.lifecycle.core.turn import DAY, Turn, in_utc
from shared.contracts.lifecycle import LifecycleMessage

_WEEK = 7


def advance(account: Account, until: datetime, plan: Plan, decided_at: datetime) -> list[LifecycleMessage]:
    """Fire every midnight up to and including `until`. In a terminal stage there is none."""
    turn = Turn(account, plan, decided_at)
    catch_up(turn, in_utc(until))
    return turn.decisions


def catch_up(turn: Turn, until: datetime) -> None:
    """The same, within a turn."""
    account = turn.account
    if account.next_due is None or account.next_due > until:
        return
    if account.definition_version != turn.plan.version:
        turn.plan.recognise(account)
    while account.next_due is not None and account.next_due <= until:
        _tick(turn, account, account.next_due)
    turn.clear()


def _tick(turn: Turn, account: Account, at: datetime) -> None:
    account.clock, account.next_due = at, at + DAY
    turn.day = at.toordinal()
    turn.clear()
    if turn.day % _WEEK == 0:
        for crowd in account.active_members.values():
            sweep(crowd, turn.day)
    settle(turn, evaluate_health(turn) | turn.plan.bits[TIME])
