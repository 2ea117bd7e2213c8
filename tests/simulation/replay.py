"""Replay: everything that touched an account, in the order of the commits, through the pure core once more."""

from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any

from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.feedback import as_event, keep
from services.lifecycle.core.fold import fold
from services.lifecycle.core.state import Account, begin
from services.lifecycle.layouts import LAYOUTS
from services.lifecycle.wiring import load_definition
from shared.contracts.topics import USAGE
from shared.contracts.usage import UsageEvent
from tests.chaos.evidence import Replayed
from tests.chaos.times import pass_midnights
from tests.simulation.clock import START
from tests.simulation.host import SETTINGS

_definition = cache(lambda: load_definition(SETTINGS))


Midnights = dict[str, int]
"""For each account at how many midnights was looked at most at once."""


def replayed(live: dict[str, Account], journal: list[list[Any]]) -> tuple[dict[str, Replayed], Midnights]:
    """Message by message, under a clock that stands still: neither the cuts nor the wall clock may matter."""
    again: dict[str, Account] = {}
    midnights: Midnights = {}
    for notes in journal:
        _commit(again, midnights, notes, _definition())
    names = sorted(live.keys() | again.keys())
    return {name: Replayed(_hash(live.get(name)), _hash(again.get(name))) for name in names}, midnights


def _commit(again: dict[str, Account], midnights: Midnights, notes: list[Any], of: CompiledDefinition) -> None:
    batches = [note for note in notes if note[0] == "batch"]
    touched = [note for note in notes if note[0] == "accounts"]
    for _, topic, messages, _ in batches:
        for message in messages if touched else ():
            _take(again, midnights, topic, message, of)
    for _, _, clocks in touched if not batches else ():
        for name, clock in clocks.items():
            _pass_time(again[name], midnights, clock, of)


def _take(again: dict[str, Account], midnights: Midnights, topic: str, message: Any, of: CompiledDefinition) -> None:
    event: UsageEvent | None = message if topic == USAGE.name else as_event(message)
    if event is None:
        return
    if topic != USAGE.name:
        if event.account in again:
            keep(again[event.account], event)
        return
    if event.account not in again:
        again[event.account] = begin(event.account, event.at)
    _pass_time(again[event.account], midnights, event.at, of)
    fold(again[event.account], event, of, START)


def _pass_time(account: Account, midnights: Midnights, until: datetime, of: CompiledDefinition) -> None:
    """Time moves at midnights only: the account's clock after the turn says up to which."""
    looked_at = len(pass_midnights(account, until, of, START))
    midnights[account.id] = max(looked_at, midnights.get(account.id, 0))


def _hash(account: Account | None) -> str:
    return "" if account is None else sha256(LAYOUTS.encode(account)).hexdigest()
