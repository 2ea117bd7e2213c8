"""Whose event is it? An event that names no account belongs to where its user belongs."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from services.ingest.core.canonical import Draft
from shared.contracts.usage import UsageEvent


class Home(NamedTuple):
    """The account a user belongs to, by the event of that moment: an older event that arrives later moves nobody."""

    account: str
    since: datetime


class Placed(NamedTuple):
    """Events with their accounts, those whose user has none yet, and users who have a new home."""

    ready: list[UsageEvent]
    homeless: list[Draft]
    moved: dict[str, Home]


def at_one(events: Iterable[Draft]) -> dict[str, str]:
    """Users whom every event here names with the same account: who belongs there already needs no more than that."""
    named: dict[str, str] = {}
    for event in events:
        if event.user and named.setdefault(event.user, event.account) != event.account:
            named[event.user] = ""
        if event.type == "alias" and event.previous:
            named[event.previous] = ""
    return {user: account for user, account in named.items() if account}


def unsure(events: Iterable[Draft], homes: Mapping[str, Home]) -> set[str]:
    """Users these events may move, or wait for: nobody else may decide about them meanwhile."""
    found = set()
    for event in events:
        home = homes.get(event.user)
        if event.user and (home is None or event.account not in {"", home.account}):
            found.add(event.user)
        if event.type == "alias" and event.previous:
            found.add(event.previous)
    return found


def placed(events: Iterable[Draft], known: Mapping[str, Home]) -> Placed:
    """One event after the other: what one says of its user holds for the next."""
    homes, result = dict(known), Placed([], [], {})
    for event in events:
        home = homes.get(event.user)
        account = event.account or (home.account if home else "")
        if not account:
            result.homeless.append(event)
            continue
        result.ready.append(published(event, account))
        for user in filter(None, (event.user, event.previous if event.type == "alias" else "")):
            _move(user, Home(account, min(event.at, event.received_at)), homes, result.moved)
    return result


def _move(user: str, to: Home, homes: dict[str, Home], moved: dict[str, Home]) -> None:
    home = homes.get(user)
    if home is None or (to.account != home.account and to.since >= home.since):
        homes[user] = moved[user] = to


def published(event: Draft, account: str) -> UsageEvent:
    """The event as everybody else reads it."""
    return UsageEvent(
        event.id,
        account,
        event.type,
        event.name,
        event.at,
        event.received_at,
        event.source,
        event.user or None,
        event.properties,
        event.history,
    )
