"""Heard of mail: a no, a bounce or a complaint that an event tells, by its name, its properties or its context.

Anybody may say no for the user of the event. That an address is another one's, that mail to it came back or was called spam, is
believed of the company's own systems alone: it stops what nobody but an operator starts again.
"""

from typing import Any

from services.lifecycle.core.contacts import address_of, decline
from services.lifecycle.core.evaluation import Evaluation, UntrustedClaim, note_unreadable
from shared.consent import declines_mail
from shared.contracts.lifecycle import MailReported
from shared.contracts.usage import UsageEvent
from shared.mail_events import MailEvent, MailReason, is_soft_bounce, read_address, read_mail_event

_NOTHING = MailEvent(None, of_others=False)


def hear_of_mail(evaluation: Evaluation, event: UsageEvent, properties: dict[str, Any]) -> None:
    """Take what the event tells. `properties` are those of a tracked event, else empty."""
    told = (read_mail_event(event.name) if event.type == "track" else None) or _NOTHING
    reason = _reason(event, told, properties)
    if reason is None:
        return
    is_believed = event.is_trusted or "account" in event.claims
    if not is_believed and reason == "bounced":
        evaluation.claims.append(UntrustedClaim(event.name, "bounced", event.user))
        return
    named = read_address(properties) if is_believed else None
    known = address_of(evaluation.account, event.user)
    if told.of_others and named is not None and not _same(named, known):
        evaluation.record_decision(MailReported, address=named, reason=reason, told=event.name)
        return
    address = named or event.address or known
    if reason == "unsubscribed" or not is_believed:
        decline(evaluation, event, address)
        if named is not None and not _same(named, address_of(evaluation.account, event.user)):
            evaluation.record_decision(MailReported, address=named, reason="unsubscribed", told=event.name)
    elif address is None and (reason == "bounced" or not event.user):
        note_unreadable(evaluation.unreadable, event.name, "email", properties.get("email"))
    else:
        user = event.user if reason == "complained" else None
        evaluation.record_decision(MailReported, user=user, address=address, reason=reason, told=event.name)


def _reason(event: UsageEvent, told: MailEvent, properties: dict[str, Any]) -> MailReason | None:
    """A bounce that may yet arrive (soft) leaves what properties and context say."""
    reason = told.reason
    if reason == "bounced" and is_soft_bounce(properties):
        reason = None
    if reason is None and (event.no_to_mail or declines_mail(properties)):
        return "unsubscribed"
    return reason


def _same(one: str, other: str | None) -> bool:
    return other is not None and one.casefold() == other.casefold()
