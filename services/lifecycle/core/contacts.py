"""Contacts: the people of an account that can be written to, as identify calls describe them; announced when they change.

What a browser says of a person never replaces what a trusted source told. It fills what none told, but for the role of
somebody whose address is trusted: roles decide who is written to. Each field is what the latest call with it says, in
whatever order calls and removals arrive; a person's word on mail outlives their removal.
"""

from datetime import datetime
from typing import Any, TypeVar

from msgspec.structs import replace

from services.lifecycle.core.evaluation import Evaluation, UntrustedClaim, in_utc, note_unreadable
from services.lifecycle.core.state import NEVER, Account, Contact, ContactClaim, Moment, tie_of
from shared.consent import read_consent_traits
from shared.contracts.lifecycle import ContactChanged, MailReported
from shared.contracts.usage import UsageEvent
from shared.values import read_boolean

MAX_CONTACTS = 2000
OWN_SOURCE = "waymark"
"""The source of what notify and advocacy tell."""
_OPT_OUT = "unsubscribed"
_FIELDS = ("email", "name", "role", "timezone")
Described = TypeVar("Described", Contact, ContactClaim)


def identify(evaluation: Evaluation, event: UsageEvent, traits: dict[str, Any]) -> None:
    """Merge what the call says. Of whom only a browser's word makes one of this account, a no to mail is all that counts."""
    if event.user and "membership" not in event.claims:
        _merge(evaluation, event, event.user, traits)
    elif event.user and _opted_out(evaluation, traits):
        decline(evaluation, event, None)


def _merge(evaluation: Evaluation, event: UsageEvent, user: str, traits: dict[str, Any]) -> None:
    """Of somebody who was removed after the call, only the word on mail counts."""
    trusted, contacts = event.is_trusted, evaluation.account.contacts
    left, at = evaluation.account.departed.get(user), in_utc(event.at)
    is_past = left is not None and at <= left.at
    known = contacts.get(user)
    before = known if known is not None or left is None else left.contact
    if known is None and not is_past and len(contacts) >= MAX_CONTACTS:
        if not trusted:
            evaluation.claims.append(UntrustedClaim("identify", "userId", user))
            return
        del contacts[_least_known(contacts)]
    given: dict[str, Any] = {name: text for name in _FIELDS if (text := _text(traits, name))}
    opted_out = _opted_out(evaluation, traits)
    if is_past and opted_out is None:
        return
    when, said = (at, tie_of(event.id)), {} if is_past else given
    contact = replace(before) if before is not None else Contact(NEVER)
    if trusted:
        _record_trusted(contact, when, said, opted_out, is_past=is_past)
    else:
        _claim(evaluation, contact, when, said, opted_out)
    shown, earlier = _shown(contact), _shown(before or Contact(NEVER))
    if is_past and known is None and left is not None:
        left.contact = contact
        if shown[_OPT_OUT] and not earlier[_OPT_OUT]:
            evaluation.record_decision(ContactChanged, user=user, unsubscribed=True, gone=True)
        return
    if shown != earlier:
        # only a trusted source gets there, in so many words; what a person told notify, notify knows, and what they said since
        back = earlier[_OPT_OUT] and not shown[_OPT_OUT] and event.source != OWN_SOURCE
        evaluation.record_decision(ContactChanged, user=user, **shown, resubscribed=back)
    contacts[user] = contact


def decline(evaluation: Evaluation, event: UsageEvent, address: str | None) -> None:
    """The event's user says no to mail. The address is taken of somebody of whom none is known.

    Where only a browser's word makes the user one of this account, it makes no contact here; a no it is all the same.
    """
    if "membership" in event.claims:
        evaluation.record_decision(MailReported, user=event.user, reason="unsubscribed", told=event.name or event.type)
        return
    is_new = address is not None and address_of(evaluation.account, event.user) is None
    identify(evaluation, event, {_OPT_OUT: True} | ({"email": address} if is_new else {}))


def address_of(account: Account, user: str | None) -> str | None:
    """The address that this person has, or had when they were removed."""
    left = account.departed.get(user or "")
    contact = account.contacts.get(user or "") or (left.contact if left is not None else None)
    if contact is None:
        return None
    return contact.email or (contact.claim.email if contact.claim is not None else None)


def record_departure(evaluation: Evaluation, user: str, at: datetime) -> None:
    """The person is gone from the product: no longer a contact, unless they were described after that."""
    contacts, left = evaluation.account.contacts, evaluation.account.departed.get(user)
    if left is not None and at < left.at:
        return
    known = contacts.get(user)
    if known is not None and left is not None:
        earlier, remaining = _shown(known), _since(known, left.at)
        is_back = remaining.at > left.at or (remaining.claim is not None and remaining.claim.at > left.at)
        if is_back:
            contacts[user] = remaining
            if (shown := _shown(remaining)) != earlier:
                evaluation.record_decision(ContactChanged, user=user, **shown)
            return
        left.contact = remaining if remaining.consent_at or remaining.claim else None
    contacts.pop(user, None)
    evaluation.record_decision(ContactChanged, user=user, gone=True)


def _least_known(contacts: dict[str, Contact]) -> str:
    """Who makes room: the first of whom only a browser told, else the first."""
    return next((user for user, contact in contacts.items() if contact.at == NEVER), next(iter(contacts)))


def _record_trusted(
    contact: Contact, when: Moment, given: dict[str, Any], opted_out: bool | None, *, is_past: bool
) -> None:
    """A trusted source's call; with it a later "not unsubscribed" takes a browser's no back."""
    if not is_past:
        _describe(contact, when, given)
    word = _word_on_mail(contact)
    if opted_out is not None and (word is None or _outranks(when, word, is_no=opted_out)):
        contact.unsubscribed, contact.consent_at = opted_out, when
    if contact.claim is not None:
        contact.claim = _untold(contact, replace(contact.claim))


def _claim(
    evaluation: Evaluation, contact: Contact, when: Moment, given: dict[str, Any], opted_out: bool | None
) -> None:
    """A browser's call, of which what it may not say is noted."""
    for name, value in given.items():
        if not _may_claim(contact, name) and getattr(contact, name) != value:
            evaluation.claims.append(UntrustedClaim("identify", name, value))
    claim = replace(contact.claim) if contact.claim is not None else ContactClaim(when[0], tie=when[1])
    declined = contact.unsubscribed or claim.unsubscribed
    if declined and opted_out is False:
        evaluation.claims.append(UntrustedClaim("identify", _OPT_OUT, opted_out))
    _describe(claim, when, given)
    no = _word_on_mail(claim)
    if opted_out is True and (no is None or when > no):
        claim.unsubscribed, claim.consent_at = True, when
    contact.claim = _untold(contact, claim)


def _describe(of: Described, when: Moment, given: dict[str, Any]) -> None:
    """Take each field that no later call told."""
    told = {name: moment for name in _FIELDS if (moment := _told_at(of, name)) is not None}
    for name, value in given.items():
        if name not in told or when > told[name]:
            setattr(of, name, value)
            told[name] = when
    latest = max((of.at, of.tie), when)
    of.at, of.tie = latest
    of.moments = {name: moment for name, moment in told.items() if moment != latest} or None


def _told_at(of: Contact | ContactClaim, name: str) -> Moment | None:
    if getattr(of, name) is None:
        return None
    return tuple(of.moments[name]) if of.moments and name in of.moments else (of.at, of.tie)  # type: ignore[return-value]


def _word_on_mail(of: Contact | ContactClaim) -> Moment | None:
    """When the latest word on mail was said. Older states remember only a no, and not when."""
    if of.consent_at is not None:
        return of.consent_at
    return (of.at, of.tie) if of.unsubscribed else None


def _outranks(when: Moment, before: Moment, *, is_no: bool) -> bool:
    """Of a no and a yes at one instant the no counts."""
    return when[0] > before[0] or (when[0] == before[0] and is_no)


def _untold(contact: Contact, claim: ContactClaim) -> ContactClaim | None:
    """What remains of a claim beside what trusted sources told; a no remains until they tell later of mail."""
    for name in _FIELDS:
        if not _may_claim(contact, name):
            setattr(claim, name, None)
    no, word = _word_on_mail(claim), _word_on_mail(contact)
    if no is not None and word is not None and word[0] >= no[0]:
        claim.unsubscribed, claim.consent_at = False, None
    claim.moments = {name: at for name, at in (claim.moments or {}).items() if getattr(claim, name) is not None} or None
    remains = claim.unsubscribed or contact.at == NEVER or any(getattr(claim, name) for name in _FIELDS)
    return claim if remains else None


def _since(contact: Contact, left: datetime) -> Contact:
    """What was told of a person after they had been removed, and their word on mail."""
    told, claim = replace(contact), contact.claim and replace(contact.claim)
    told.consent_at = _word_on_mail(contact)
    _forget(told, left)
    if told.at <= left:
        told.at, told.tie = NEVER, 0
    if claim is not None:
        claim.consent_at = _word_on_mail(claim)
        _forget(claim, left)
        told.claim = claim if claim.unsubscribed or claim.at > left else None
    return told


def _forget(of: Contact | ContactClaim, left: datetime) -> None:
    """Drop the fields that were told by then."""
    for name in _FIELDS:
        moment = _told_at(of, name)
        if moment is not None and moment[0] <= left:
            setattr(of, name, None)
    of.moments = {name: at for name, at in (of.moments or {}).items() if at[0] > left} or None


def _may_claim(contact: Contact, name: str) -> bool:
    """Whether a browser may say this field."""
    return getattr(contact, name) is None and not (name == "role" and contact.email is not None)


def _shown(contact: Contact) -> dict[str, Any]:
    """The person as others are told: the fields of ContactChanged."""
    fields: dict[str, Any] = {name: getattr(contact, name) for name in (*_FIELDS, _OPT_OUT)}
    claim = contact.claim
    if claim is None:
        return {**fields, "email_trusted": True}
    fields |= {name: value for name in _FIELDS if (value := getattr(claim, name))}
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
