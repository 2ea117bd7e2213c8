"""Whom can we write to? What identify calls say of people, told on when it changes."""

from typing import Any

from services.lifecycle.core.active_members import remove
from services.lifecycle.core.state import Account, Contact
from services.lifecycle.core.tell import tell
from services.lifecycle.core.turn import Turn
from shared.contracts.lifecycle import ContactChanged
from shared.contracts.usage import UsageEvent

MOST_CONTACTS = 2000
_FIELDS = ("email", "name", "role", "timezone")


def identify(turn: Turn, event: UsageEvent, traits: dict[str, Any]) -> None:
    """Merge what was told; an older identify fills gaps only."""
    if not event.user:
        return
    contacts = turn.account.contacts
    known = contacts.get(event.user) or Contact(event.at)
    contact = _merged(known, event, traits)
    if not _same(known, contact):
        tell(turn, ContactChanged, user=event.user, **_told(contact))
    if event.user not in contacts and len(contacts) >= MOST_CONTACTS:
        del contacts[next(iter(contacts))]
    contacts[event.user] = contact


def user_left(turn: Turn, user: str) -> None:
    """The person is gone from the product: no longer a contact, no longer counted as active."""
    if not user:
        return
    forget_user(turn.account, user)
    tell(turn, ContactChanged, user=user, gone=True)


def forget_user(account: Account, user: str) -> None:
    """Take this person out of the state; also what erasing a person asks of the core."""
    account.contacts.pop(user, None)
    for name, crowd in account.active_members.items():
        if name.startswith("users:"):
            remove(crowd, user)


def _merged(known: Contact, event: UsageEvent, traits: dict[str, Any]) -> Contact:
    later = event.at >= known.at
    told: dict[str, Any] = {name: text for name in _FIELDS if (text := _text(traits, name))}
    if "unsubscribed" in traits:
        told["unsubscribed"] = traits["unsubscribed"] is True
    before = {name: value for name, value in _told(known).items() if value}
    fields: dict[str, Any] = {**before, **told} if later else {**told, **before}
    return Contact(max(event.at, known.at), **fields)


def _text(traits: dict[str, Any], name: str) -> str:
    told = traits.get(name)
    if told is None and name == "name":
        told = " ".join(str(traits[part]) for part in ("firstName", "lastName") if traits.get(part))
    return told[:200] if isinstance(told, str) else ""


def _told(contact: Contact) -> dict[str, Any]:
    return {name: getattr(contact, name) for name in (*_FIELDS, "unsubscribed")}


def _same(one: Contact, other: Contact) -> bool:
    return _told(one) == _told(other)
