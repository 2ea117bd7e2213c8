"""Contacts: the people of an account that can be written to, as identify calls describe them; announced when they change.

What a browser says of a person never replaces what a trusted source told, in whatever order they arrive. It fills what none
told, but for the role of somebody whose address is trusted: roles decide who is written to.
"""

from typing import Any

from services.lifecycle.core.evaluation import Evaluation, UntrustedClaim, note_unreadable
from services.lifecycle.core.state import NEVER, Contact, ContactClaim
from shared.contracts.lifecycle import ContactChanged
from shared.contracts.usage import UsageEvent
from shared.values import read_boolean, read_consent_traits

MAX_CONTACTS = 2000
_OPT_OUT = "unsubscribed"
_FIELDS = ("email", "name", "role", "timezone")


def identify(evaluation: Evaluation, event: UsageEvent, traits: dict[str, Any]) -> None:
    """Merge what the call says; an older identify fills gaps only."""
    user, trusted, contacts = event.user, event.is_trusted, evaluation.account.contacts
    if not user or "membership" in event.claims:
        return
    before = contacts.get(user)
    if before is None and len(contacts) >= MAX_CONTACTS:
        if not trusted:
            evaluation.claims.append(UntrustedClaim("identify", "userId", user))
            return
        del contacts[_least_known(contacts)]
    given: dict[str, Any] = {name: text for name in _FIELDS if (text := _text(traits, name))}
    opted_out = _opted_out(evaluation, traits)
    if trusted:
        contact = _merged(before or Contact(event.at), event, given, opted_out)
    else:
        contact = _claimed(evaluation, before or Contact(NEVER), event, given, opted_out)
    shown, earlier = _shown(contact), _shown(before or Contact(NEVER))
    if shown != earlier:
        back = earlier[_OPT_OUT] and not shown[_OPT_OUT]  # only a trusted source gets there, in so many words
        evaluation.record_decision(ContactChanged, user=user, **shown, resubscribed=back)
    contacts[user] = contact


def record_departure(evaluation: Evaluation, user: str) -> None:
    """The person is gone from the product: no longer a contact."""
    evaluation.record_decision(ContactChanged, user=user, gone=True)


def _least_known(contacts: dict[str, Contact]) -> str:
    """Who makes room: the first of whom only a browser told, else the first."""
    return next((user for user, contact in contacts.items() if contact.at == NEVER), next(iter(contacts)))


def _merged(before: Contact, event: UsageEvent, given: dict[str, Any], opted_out: bool | None) -> Contact:
    """The contact after a call of a trusted source; with it a later "not unsubscribed" takes a browser's no back."""
    is_later = event.at >= before.at
    if opted_out is not None:
        given = {**given, _OPT_OUT: opted_out}
    filled = {name: value for name in (*_FIELDS, _OPT_OUT) if (value := getattr(before, name))}
    fields: dict[str, Any] = {**filled, **given} if is_later else {**given, **filled}
    contact = Contact(max(event.at, before.at), **fields)
    claim = before.claim
    if claim is not None:
        declined = claim.unsubscribed and (opted_out is not False or event.at < claim.at)
        contact.claim = _untold(contact, claim.at, _of(claim), unsubscribed=declined)
    return contact


def _claimed(
    evaluation: Evaluation, before: Contact, event: UsageEvent, given: dict[str, Any], opted_out: bool | None
) -> Contact:
    """The contact after a browser's call, of which what it may not say is noted."""
    for name, value in given.items():
        if not _may_claim(before, name) and getattr(before, name) != value:
            evaluation.claims.append(UntrustedClaim("identify", name, value))
    earlier = before.claim or ContactClaim(event.at)
    declined = before.unsubscribed or earlier.unsubscribed
    if declined and opted_out is False:
        evaluation.claims.append(UntrustedClaim("identify", _OPT_OUT, opted_out))
    filled = _of(earlier)
    fields = {**filled, **given} if event.at >= earlier.at else {**given, **filled}
    no = earlier.unsubscribed or opted_out is True
    contact = Contact(before.at, before.email, before.name, before.role, before.timezone, before.unsubscribed)
    contact.claim = _untold(before, max(event.at, earlier.at), fields, unsubscribed=no)
    return contact


def _untold(contact: Contact, at: Any, claimed: dict[str, Any], *, unsubscribed: bool) -> ContactClaim | None:
    """What remains of a claim beside what trusted sources told."""
    kept = {name: value for name, value in claimed.items() if _may_claim(contact, name)}
    return ContactClaim(at, **kept, unsubscribed=unsubscribed) if kept or unsubscribed or contact.at == NEVER else None


def _may_claim(contact: Contact, name: str) -> bool:
    """Whether a browser may say this field."""
    return getattr(contact, name) is None and not (name == "role" and contact.email is not None)


def _of(claim: ContactClaim) -> dict[str, Any]:
    return {name: value for name in _FIELDS if (value := getattr(claim, name))}


def _shown(contact: Contact) -> dict[str, Any]:
    """The person as others are told: the fields of ContactChanged."""
    fields: dict[str, Any] = {name: getattr(contact, name) for name in (*_FIELDS, _OPT_OUT)}
    claim = contact.claim
    if claim is None:
        return {**fields, "email_trusted": True}
    fields |= _of(claim)
    fields[_OPT_OUT] = contact.unsubscribed or claim.unsubscribed
    return {**fields, "email_trusted": claim.email is None}


def _opted_out(evaluation: Evaluation, traits: dict[str, Any]) -> bool | None:
    """Whether the call says no to mail, by whatever name; a no beside a yes is a no."""
    said = read_consent_traits(traits)
    for name, value, opted_out in said:
        if value is not None and value != "" and (opted_out is None or read_boolean(value) is None):
            note_unreadable(evaluation.unreadable, "identify", name, value)
    answers = {one.opted_out for one in said} - {None}
    return any(answers) if answers else None


def _text(traits: dict[str, Any], name: str) -> str:
    text = traits.get(name)
    if text is None and name == "name":
        text = " ".join(str(traits[each]) for each in ("firstName", "lastName") if traits.get(each))
    return text[:200] if isinstance(text, str) else ""
