"""Contacts: the people of an account that can be written to, as identify calls describe them; announced when they change."""

from typing import Any

from services.lifecycle.core.evaluation import Evaluation, note_unreadable
from services.lifecycle.core.state import Contact
from shared.contracts.lifecycle import ContactChanged
from shared.contracts.usage import UsageEvent
from shared.values import read_boolean, read_opt_out

MAX_CONTACTS = 2000
_OPT_OUT = "unsubscribed"
_FIELDS = ("email", "name", "role", "timezone")


def identify(evaluation: Evaluation, event: UsageEvent, traits: dict[str, Any]) -> None:
    """Merge what the call says; an older identify fills gaps only."""
    if not event.user:
        return
    contacts, opt_out = evaluation.account.contacts, traits.get(_OPT_OUT)
    if opt_out is not None and opt_out != "" and read_boolean(opt_out) is None:
        note_unreadable(evaluation.unreadable, "identify", _OPT_OUT, opt_out)
    before = contacts.get(event.user) or Contact(event.at)
    contact = _merged(before, event, traits)
    if _fields(before) != _fields(contact):
        evaluation.record_decision(ContactChanged, user=event.user, **_fields(contact))
    if event.user not in contacts and len(contacts) >= MAX_CONTACTS:
        del contacts[next(iter(contacts))]
    contacts[event.user] = contact


def record_departure(evaluation: Evaluation, user: str) -> None:
    """The person is gone from the product: no longer a contact."""
    evaluation.record_decision(ContactChanged, user=user, gone=True)


def _merged(before: Contact, event: UsageEvent, traits: dict[str, Any]) -> Contact:
    is_later = event.at >= before.at
    given: dict[str, Any] = {name: text for name in _FIELDS if (text := _text(traits, name))}
    opted_out = read_opt_out(traits.get(_OPT_OUT))
    if opted_out is not None:
        given[_OPT_OUT] = opted_out
    filled = {name: value for name, value in _fields(before).items() if value}
    fields: dict[str, Any] = {**filled, **given} if is_later else {**given, **filled}
    return Contact(max(event.at, before.at), **fields)


def _text(traits: dict[str, Any], name: str) -> str:
    text = traits.get(name)
    if text is None and name == "name":
        text = " ".join(str(traits[each]) for each in ("firstName", "lastName") if traits.get(each))
    return text[:200] if isinstance(text, str) else ""


def _fields(contact: Contact) -> dict[str, Any]:
    return {name: getattr(contact, name) for name in (*_FIELDS, "unsubscribed")}
