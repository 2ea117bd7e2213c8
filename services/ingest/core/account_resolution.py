"""Account resolution: an event that names no account belongs to the account of its user's latest membership."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from services.ingest.core.canonical import CanonicalEvent
from shared.contracts.usage import UsageEvent


class Membership(NamedTuple):
    """The account a user belongs to since that event's time: an older event that arrives later changes nothing.

    `trusted`: a source other than a browser said so.
    """

    account_id: str
    since: datetime
    trusted: bool = True


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
        if event.user_id and _is_in_doubt(event, memberships.get(event.user_id)):
            users.add(event.user_id)
        if event.type == "alias" and event.previous_user_id:
            users.add(event.previous_user_id)
    return users


def _is_in_doubt(event: CanonicalEvent, membership: Membership | None) -> bool:
    if membership is None:
        return True
    if not event.account_id or event.trust == "browser":
        return False
    return event.account_id != membership.account_id or not membership.trusted


def resolve(events: Iterable[CanonicalEvent], memberships: Mapping[str, Membership]) -> Resolution:
    """One event after the other: a membership that one event sets holds for the next.

    A browser places users who have no membership, and moves none: its event that names another account than its user's
    stays where it says, and claims the membership. An event that names no account is no more trusted than who placed its user.
    """
    current, result = dict(memberships), Resolution([], [], {})
    for event in events:
        membership = current.get(event.user_id)
        account_id = event.account_id or (membership.account_id if membership else "")
        if not account_id:
            result.unresolved.append(event)
            continue
        if membership is not None and _confirms(event, account_id, membership):
            result.resolved.append(_usage_event(event, account_id, trusted=True, placed=True))
            continue
        trusted = event.trust != "browser" and bool(event.account_id or (membership and membership.trusted))
        users = [event.user_id] if event.user_id else []
        if event.type == "alias" and event.previous_user_id:
            users.append(event.previous_user_id)
        new = Membership(account_id, min(event.at, event.received_at), trusted)
        moved = [_join(user_id, new, current, result.changed) for user_id in users]
        result.resolved.append(_usage_event(event, account_id, trusted=trusted, placed=all(moved)))
    return result


def _confirms(event: CanonicalEvent, account_id: str, membership: Membership) -> bool:
    """Whether it tells nothing new of anybody's membership, as most events."""
    known = membership.trusted and membership.account_id == account_id
    return known and event.trust != "browser" and event.type != "alias"


def _join(user_id: str, new: Membership, current: dict[str, Membership], changed: dict[str, Membership]) -> bool:
    """The user is in this account from now on, if so it shall be. False where a browser may not say so."""
    old = current.get(user_id)
    if old is not None and not new.trusted:
        return new.account_id == old.account_id
    if old is None or not old.trusted or (new.account_id != old.account_id and new.since >= old.since):
        current[user_id] = changed[user_id] = new
    return True


def _usage_event(event: CanonicalEvent, account_id: str, *, trusted: bool, placed: bool) -> UsageEvent:
    """The event as it is published."""
    claims = event.claims
    if not placed:
        claims = (*claims, "membership")
    if not trusted and event.trust != "browser":
        claims = (*claims, "account")
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
        event.history if trusted else None,
        event.trust if trusted else "browser",
        event.claimed_at,
        claims,
        event.stamped_at,
        event.no_to_mail,
        event.address,
    )
