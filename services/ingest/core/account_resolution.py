"""Account resolution: an event that names no account belongs to the account of its user's latest membership."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from services.ingest.core.canonical import CanonicalEvent
from shared.contracts.usage import UsageEvent


class Membership(NamedTuple):
    """The account a user belongs to since that event's time: an older event that arrives later changes nothing."""

    account_id: str
    since: datetime


class Resolution(NamedTuple):
    """Events with their accounts, events whose user has none yet, and the memberships that changed, by user."""

    resolved: list[UsageEvent]
    unresolved: list[CanonicalEvent]
    changed: dict[str, Membership]


def unanimous_accounts(events: Iterable[CanonicalEvent]) -> dict[str, str]:
    """User -> account where all events here name the same one: a member of that account needs no further look."""
    accounts: dict[str, str] = {}
    for event in events:
        if event.user_id and accounts.setdefault(event.user_id, event.account_id) != event.account_id:
            accounts[event.user_id] = ""
        if event.type == "alias" and event.previous_user_id:
            accounts[event.previous_user_id] = ""
    return {user_id: account_id for user_id, account_id in accounts.items() if account_id}


def users_to_lock(events: Iterable[CanonicalEvent], memberships: Mapping[str, Membership]) -> set[str]:
    """Users whose membership these events may change or wait for: no other process may decide about them meanwhile."""
    users = set()
    for event in events:
        membership = memberships.get(event.user_id)
        if event.user_id and (membership is None or event.account_id not in {"", membership.account_id}):
            users.add(event.user_id)
        if event.type == "alias" and event.previous_user_id:
            users.add(event.previous_user_id)
    return users


def resolve(events: Iterable[CanonicalEvent], memberships: Mapping[str, Membership]) -> Resolution:
    """One event after the other: a membership that one event sets holds for the next."""
    current, result = dict(memberships), Resolution([], [], {})
    for event in events:
        membership = current.get(event.user_id)
        account_id = event.account_id or (membership.account_id if membership else "")
        if not account_id:
            result.unresolved.append(event)
            continue
        result.resolved.append(_usage_event(event, account_id))
        for user_id in filter(None, (event.user_id, event.previous_user_id if event.type == "alias" else "")):
            _join(user_id, Membership(account_id, min(event.at, event.received_at)), current, result.changed)
    return result


def _join(user_id: str, new: Membership, current: dict[str, Membership], changed: dict[str, Membership]) -> None:
    old = current.get(user_id)
    if old is None or (new.account_id != old.account_id and new.since >= old.since):
        current[user_id] = changed[user_id] = new


def _usage_event(event: CanonicalEvent, account_id: str) -> UsageEvent:
    """The event as it is published."""
    return UsageEvent(
        event.id,
        account_id,
        event.type,
        event.name,
        event.at,
        event.received_at,
        event.source,
        event.user_id or None,
        event.properties,
        event.history,
        event.trust,
        event.claimed_at,
    )
