"""Mail events: what an event's name says of mail to somebody. It is unwanted, it came back, it was called spam.

The names are Segment's for mail (`Email Bounced`, `Email Marked as Spam`, `Unsubscribed`) and their like, in any spelling.
"""

import re
from collections.abc import Mapping
from email.utils import parseaddr
from functools import lru_cache
from typing import Literal, NamedTuple

from shared.consent import plain_name

MailReason = Literal["unsubscribed", "bounced", "complained"]

_MAX_ADDRESS = 254
_TOOLS = (
    "customerio|sendgrid|mailchimp|braze|iterable|hubspot|klaviyo|postmark|mailgun|sparkpost|ses|intercom|marketo|"
    "activecampaign|brevo|mailjet|drip|resend|mandrill"
)
_OTHERS = "contact|subscriber|recipient|customer|member|lead|person"
_AROUND = (
    rf"(?:the|user|profile|visitor|mailing|e?mails?|marketing|newsletters?|news|promotional|communications?|list|group|"
    rf"global(?:ly)?|all|everything|from|of|to|on|by|link|clicked|click|requested|request|received|event|has|was|is|been|"
    rf"{_TOOLS}|{_OTHERS})*+"
)
_UNSUBSCRIBED = re.compile(rf"{_AROUND}(?:unsubscribe[ds]?|unsubscription|opt(?:ed|s)?out){_AROUND}")
_BOUNCED = re.compile(rf"{_AROUND}(?:hard|permanent)?bounced?{_AROUND}")
_COMPLAINED = re.compile(
    rf"{_AROUND}(?:spamcomplain(?:t|ed)|spamreport(?:ed)?|(?:marked|reported|flagged)(?:e?mails?)?(?:as)?spam|complain(?:t|ed))"
    rf"{_AROUND}"
)
_OF_MAIL = re.compile(rf"mail|spam|hardbounce|permanentbounce|{_TOOLS}")
_MAY_SAY = re.compile(
    r"consent|preference|subscri|opt(?:ed)?(?:in|out)|newsletter|sign(?:ed)?up|regist|profile|communication|privacy|gdpr|"
    r"(?:user|contact|customer|person|account)(?:was)?(?:updated|created|changed|identified)|"
    r"settings(?:updated|saved|changed)"
)
_OF_OTHERS = re.compile(_OTHERS)
_SOFT = re.compile(r"soft|temporar|transient|block|undetermined|autorespon|delay|deferr")
_HOW_IT_BOUNCED = ("type", "bounce_type", "bounceType", "classification", "bounce_class", "severity", "category")
_ADDRESSES = ("email", "email_address", "emailAddress", "recipient", "recipient_email", "user_email", "address", "to")


class MailEvent(NamedTuple):
    """What an event's name says of mail. `reason` None: what it says stands in its properties, if anything does.

    `of_others`: its user may be telling of somebody else, whom the address names (`Contact Unsubscribed`).
    """

    reason: MailReason | None
    of_others: bool


@lru_cache(maxsize=2048)
def read_mail_event(name: str) -> MailEvent | None:
    """What the name says; None for all but a few."""
    plain = plain_name(name)
    of_others = _OF_OTHERS.search(plain) is not None
    if _UNSUBSCRIBED.fullmatch(plain):
        return MailEvent("unsubscribed", of_others)
    if _OF_MAIL.search(plain):
        if _BOUNCED.fullmatch(plain):
            return MailEvent("bounced", of_others)
        if _COMPLAINED.fullmatch(plain):
            return MailEvent("complained", of_others)
    return MailEvent(None, of_others) if _MAY_SAY.search(plain) else None


def is_soft_bounce(properties: Mapping[str, object]) -> bool:
    """Whether an event of a bounce says that mail may yet arrive there: a full mailbox, a block, a delay."""
    return any(_SOFT.search(plain_name(str(properties.get(name) or ""))) for name in _HOW_IT_BOUNCED)


def read_address(properties: Mapping[str, object]) -> str | None:
    """The address that an event or a person's traits name."""
    for name in _ADDRESSES:
        if name in properties and (address := as_address(properties[name])):
            return address
    return None


def as_address(value: object) -> str | None:
    """The address of `ann@acme.test` and of `Ann Lee <ann@acme.test>`."""
    if not isinstance(value, str) or "@" not in value or len(value) > 2 * _MAX_ADDRESS:
        return None
    address = parseaddr(value)[1] if "<" in value else value.strip()
    return address if "@" in address and len(address) <= _MAX_ADDRESS and " " not in address else None
