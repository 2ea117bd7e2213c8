"""End state: what a runner holds at the end is checked before any figure is believed."""

from collections.abc import Mapping
from typing import Any

import msgspec

from bench.errors import InvalidResult

_SHOWN = 3


class Kept(msgspec.Struct, frozen=True):
    """One account: how many events, the time of the latest, how many of each feature."""

    count: int
    last: str
    features: dict[str, int]


class End(msgspec.Struct, frozen=True):
    """Every account, and how often each was told to have made its transition."""

    accounts: dict[str, Kept]
    transitions: dict[str, int]

    @property
    def events(self) -> int:
        return sum(kept.count for kept in self.accounts.values())


def verify(found: End, expected: End) -> None:
    """Raises InvalidResult when one event, account or transition is missing, or there is one too many."""
    if found.events != expected.events:
        raise InvalidResult(f"{found.events} events were counted of {expected.events}")
    _same("account", found.accounts, expected.accounts)
    _same("transition", found.transitions, expected.transitions)


def _same(what: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    if found == expected:
        return
    wrong = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
    shown = "; ".join(f"{key} is {found.get(key)}, expected {expected.get(key)}" for key in wrong[:_SHOWN])
    raise InvalidResult(f"{len(wrong)} {what}s differ: {shown}")


def demand(found: Mapping[str, int], expected: Mapping[str, int]) -> None:
    """The same for plain numbers. Raises InvalidResult."""
    if dict(found) != dict(expected):
        raise InvalidResult(f"the end state is {dict(found)}, expected {dict(expected)}")
