"""Consent: what customers' tools say about mail to a person, by all the names and in all the shapes that they have for it.

A no is heard in any case and spelling, inside objects and lists too; what cannot be read as a yes is no yes. A yes is heard by
the names of our own lists alone, and not from inside: a name that only looks like one of consent brings nobody back.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

from shared.values import NO, YES, word_of

_MAX_NAME = 64
_MAX_DEPTH = 6
_MAX_NODES = 2000
"""Of one call's objects and lists: what is looked at has a bound."""
_NO_LETTER = re.compile(r"[\W_]+")
_NOT_OPTED_OUT = NO | {"subscribed"}
_OPTED_IN = frozenset({"subscribed", "optedin"})
_OPTED_OUT = frozenset(
    [
        *("unsubscribed", "unsubscribe", "optedout", "optout", "notsubscribed", "neversubscribed", "noconsent"),
        *("never", "none", "not", "denied", "deny", "declined", "refused", "rejected", "revoked", "withdrawn", "objected"),
        *("notgranted", "notgiven", "disallowed", "disabled", "blocked", "suppressed", "cleaned", "donotcontact"),
        *("nein", "non", "não", "nao", "nej", "nei", "nie", "ne", "нет", "ні", "hayir", "ei", "いいえ", "否", "아니요", "לא", "لا"),
    ]
)  # fmt: skip
"""Words that are a no where a yes is asked for."""
_OPTED_OUT_STATES = frozenset(
    [
        *("unsubscribed", "unsubscribe", "optedout", "optout", "notsubscribed", "noconsent", "suppressed", "cleaned"),
        *("donotcontact", "donotemail", "revoked", "withdrawn", "denied", "declined", "refused", "bounced", "hardbounced"),
        *("complained", "complaint", "spam", "markedasspam", "spamreported", "blocked", "blacklisted", "blocklisted"),
    ]
)  # fmt: skip
_ABOUT_MAIL_ALONE = ("unsubscri", "optedout", "optout", "cleaned", "donotemail", "donotcontact")
"""How words begin that say no to mail whatever state they are the value of."""
_OPT_OUT_TRAITS = frozenset(
    [
        "unsubscribed",
        "unsubscribe",
        "isunsubscribed",
        "emailunsubscribed",
        "unsubscribedfromemail",
        "unsubscribedfromemails",
        "optout",
        "optedout",
        "emailoptout",
        "emailoptedout",
        "optedoutofemail",
        "hasoptedoutofemail",
        "hsemailoptout",
        "marketingoptout",
        "marketingemailoptout",
        "donotemail",
        "donotcontact",
        "donotmail",
    ]
)
"""Names of traits of which true is a no: Segment's and Customer.io's, Intercom's, HubSpot's and Salesforce's among them."""
_OPT_IN_TRAITS = frozenset(
    [
        "emailsubscribed",
        "emailsubscribe",
        "subscribedtoemail",
        "subscribedtoemails",
        "emailoptin",
        "emailoptedin",
        "marketingoptin",
        "marketingoptedin",
        "marketingemailoptin",
        "emailconsent",
        "marketingconsent",
        "acceptsmarketing",
        "acceptsemailmarketing",
    ]
)
"""Names of traits of which false is a no. A bare `subscribed` may be what somebody bought, and says nothing."""
_ABOUT_MAIL = re.compile(r"mail|marketing|newsletter|promo|communication")
_OTHER_CHANNEL = re.compile(
    r"sms|push|phone|call|fax|whatsapp|cookie|tracking|analytics|tosale|beta|mailbox|mailgun|mailchimp"
)
_ELSEWHERE = re.compile(
    r"sms|push|phone|fax|whatsapp|cookie|analytics|tracking|inapp|slack|voice|integration|invoice|billing|receipt"
    r"|^(?:team|all|other|our)?(?:members?|contacts|users|people|persons|recipients|subscribers|colleagues|leads|customers)$"
    r"|^invit|^(?:app|product|beta)$"
)
"""Names of objects that are about another channel, or about other people."""
_A_NO = re.compile(
    r"unsubscri|dono?t(?:bulk)?(?:e?mail|send|contact|market|disturb)|^no(?:e?mails?|marketing|newsletters?)$"
    r"|suppress(?:ed)?e?mails?$|^(?:is|has|user|global|all|fully)?opt(?:ed)?out(?:at|on|date|all|time|reason)?$"
    r"|e?mail(?:is)?(?:black|block)list|excludedfromcampaigns|marketingsuspended|^(?:is|has)?(?:hard)bounced$"
    r"|^(?:e?mail)?unsub$|^dnc$|^e?mail(?:has)?(?:bounced|blocked)$|^(?:has)?complained$|^spamreported$"
    r"|markede?mailasspam|e?mailmarkedasspam|hse?mailoptout|hse?mailhardbounce|hse?mailquarantined$"
)
_A_NO_ABOUT_MAIL = re.compile(
    r"opt(?:ed|s)?out|revoked|withdrawn|declined|refused|rejected|denied|disabled|suppressed|suspended|stopped|hardbounced"
    r"|complain|spamreport"
)
_NO_NO = re.compile(
    r"^(?:not(?!if)|never|can)|(?:url|link|token|hash|key|ids?|groups?|page|count|topics|lists?|template|enabled|allowed)$"
)
"""What stands around a no in names that say none: `unsubscribe_url`, `not_unsubscribed`."""
_A_YES_ABOUT_MAIL = re.compile(
    r"opt(?:ed|s)?in|subscribed?|consent|accepts?|agreed?|permission|permitted|allowed|enabled|wants?|receives?"
)
_A_BARE_YES = frozenset(
    [
        *("newsletter", "newsletters", "marketing", "marketingemail", "marketingemails", "emailmarketing", "promotionalemail"),
        *("promotionalemails", "promoemails", "emailnewsletter", "sendnewsletter", "sendemail", "sendemails", "mailinglist"),
        *("msgemail", "consent", "consentgiven", "hasconsent", "consentstatus", "gdprconsent", "euconsent"),
        *("optin", "optedin", "isoptedin", "canemail", "canbeemailed", "cancontact", "contactable", "contactpermission"),
    ]
)  # fmt: skip
"""Names of boxes to tick, of which false is a no: Segment's wire has `newsletter`, CleverTap `MSG-email`, Drip `eu_consent`."""
_A_STATE = re.compile(r"(?:status|state|preferences?|subscription|frequency)$")
_ASKED_ABOUT = re.compile(r"consent|preference|subscription|permission|optin|optout|unsubscri|suppress|dono?t|optedout")
_ASKED = re.compile(r"consent|preference|permission|gdpr|privacy|communication|optin|optout|unsubscri")
_NO_ROOT = re.compile(r"unsubscri|opt(?:ed|s)?out|dono?t(?:e?mail|contact|send|market)|suppress|(?:black|block)list|revoked|withdrawn|declined")  # fmt: skip
_OF_MAIL = frozenset(
    [
        *("email", "emails", "mail", "marketing", "newsletter", "newsletters", "marketingemail", "marketingemails"),
        *("emailmarketing", "promotions", "promotional", "news", "all", "global"),
    ]
)
"""Names inside an object that is about consent."""
_NOT_CONSENT = re.compile(
    r"invoice|receipt|transaction|verif|address|limit|count|frequency|notification|double|confirm"
)
_LEAVES = frozenset(
    [
        *("value", "granted", "consented", "given", "accepted", "agreed", "enabled", "allowed", "active", "optedin", "optin"),
        *("subscribed", "issubscribed", "consent", "hasconsent", "choice", "selected", "checked", "permission", "isgranted"),
        *("isenabled", "isactive", "on", "action", "unsubscribed", "suppressed", "optedout", "declined", "denied"),
    ]
)  # fmt: skip
"""Names that say how something was answered whose name stands around them, or beside them."""
_LABELS = frozenset({"tags", "labels", "segments", "lists"})
_BESIDE = ("channel", "channelType", "channel_type", "type", "kind", "name", "purpose", "topic", "category", "medium", "id", "key", "scope")  # fmt: skip
"""Where an object of a list says what it is about."""


class ConsentTrait(NamedTuple):
    """What one trait of a person says about mail: True is a no, False a yes, None nothing that could be read."""

    name: str
    value: object
    opted_out: bool | None


def read_opt_out(value: object) -> bool | None:
    """Whether somebody said no to mail. Only a clear "not unsubscribed" is false; any other text or number is a no to mail.

    None where nothing was said: null, a blank text, an object or a list.
    """
    word = word_of(value)
    return word not in _NOT_OPTED_OUT if word else None


def read_consent_traits(traits: Mapping[str, object]) -> list[ConsentTrait]:
    """What the traits of a person say about mail.

    A name that only looks like one of consent, or stands inside an object or a list (`consent: {email: false}`,
    `opt_outs: ["email"]`), is heard as a no, never as a yes.
    """
    found = []
    nodes = iter(range(_MAX_NODES))
    for name, value in traits.items():
        short = name if len(name) <= _MAX_NAME else name[:_MAX_NAME]  # what is remembered of names has a bound
        kind = _kind_of(short)
        if kind == "opt_out":
            found.append(ConsentTrait(name, value, read_opt_out(value)))
        elif kind == "opt_in":
            found.append(ConsentTrait(name, value, _opted_out_by_opt_in(value)))
        elif kind and _says_no(plain_name(short), value):
            found.append(ConsentTrait(name, value, opted_out=True))
        if value.__class__ is dict or value.__class__ is list:
            found += [
                ConsentTrait(f"{name}.{at}", no, True) for at, no in _noes_inside((plain_name(short),), value, nodes)
            ]
    return found


def declines_mail(traits: Mapping[str, object]) -> bool:
    """Whether anything of it is a no to mail."""
    return any(one.opted_out for one in read_consent_traits(traits))


def _noes_inside(path: tuple[str, ...], value: object, nodes: Iterator[int]) -> Iterator[tuple[str, object]]:
    """The noes in a trait's object or list, each with its name there. `path`: the plain names around it."""
    if len(path) > _MAX_DEPTH or _is_elsewhere(path[-1]):
        return
    members: Iterable[tuple[str, object]] = ()
    if isinstance(value, Mapping):
        beside = tuple(plain_name(said) for key in _BESIDE if key in value and isinstance(said := value[key], str))
        if any(_is_elsewhere(said) for said in beside):
            return
        members, path = value.items(), (*path, *beside)
    elif isinstance(value, list):
        members = ((str(place), inner) for place, inner in enumerate(value))
    for name, inner in members:
        if next(nodes, None) is None:
            return
        if isinstance(inner, Mapping | list):
            below = path if isinstance(value, list) else (*path, plain_name(name))
            yield from ((f"{name}.{at}", no) for at, no in _noes_inside(below, inner, nodes))
        elif (
            _is_listed_no(path[-1], inner)
            if isinstance(value, list)
            else _says_no_inside("".join(path), plain_name(name), inner)
        ):
            yield name, inner


def _is_listed_no(of: str, item: object) -> bool:
    """Whether an item of a list of what is declined is mail: `opt_outs: ["email"]`."""
    if of in _LABELS:
        return plain_name(word_of(item)).startswith(_ABOUT_MAIL_ALONE)
    is_no = _NO_ROOT.search(of) is not None and not _OTHER_CHANNEL.search(of)
    return is_no and (plain_name(word_of(item)) in _OF_MAIL or item is True)


def _says_no_inside(around: str, name: str, value: object) -> bool:
    """Whether a member of an object says no to mail, by its name, or by the names around it."""
    question, names = _question_of(around, name)
    match question:
        case "":  # all but a few
            return False
        case "out":
            return read_opt_out(value) is True
        case "in":
            return _opted_out_by_opt_in(value) is True
        case "named":
            return any(_says_no(one, value) for one in names)


@lru_cache(maxsize=4096)
def _question_of(around: str, name: str) -> tuple[Literal["", "out", "in", "named"], tuple[str, ...]]:
    """What a member of an object answers: whether somebody is out, or in, or what these names say; or nothing about mail.

    It may be what the names around it ask: `consent: {email: ...}`, `{channel: "email", granted: ...}`.
    """
    if name in _OPT_OUT_TRAITS or name in _OPT_IN_TRAITS:
        return ("out" if name in _OPT_OUT_TRAITS else "in"), ()
    if _OTHER_CHANNEL.search(name) or _ELSEWHERE.search(name):
        return "", ()
    is_asked = _ASKED.search(around) is not None
    is_leaf = name in _LEAVES or _A_STATE.search(name) is not None
    if _consent_kind(name) in {"", "object", "any_state"} and (
        (name in _OF_MAIL and _ASKED_ABOUT.search(around))
        or (is_asked and _ABOUT_MAIL.search(name) and not _NOT_CONSENT.search(name))
        or (is_asked and is_leaf and _ABOUT_MAIL.search(around))
    ):
        return ("out" if _NO_ROOT.search(around + name if is_leaf else around) else "in"), ()
    names = (name, around + name, around) if is_leaf else (name,)
    asking = tuple(one for one in names if _consent_kind(one) not in {"", "object"})
    return ("named" if asking else ""), asking


_ConsentKind = Literal["", "no", "yes", "state", "any_state", "object"]


@lru_cache(maxsize=4096)
def _kind_of(name: str) -> _ConsentKind | Literal["opt_out", "opt_in"]:
    """What a trait's name says: of a list of ours, or what it looks like."""
    plain = plain_name(name)
    if plain in _OPT_OUT_TRAITS:
        return "opt_out"
    return "opt_in" if plain in _OPT_IN_TRAITS else _consent_kind(plain)


@lru_cache(maxsize=2048)
def _consent_kind(plain: str) -> _ConsentKind:
    """What a name that is in no list looks like: of a no, of a yes, of a state of consent or of anything, or of an object about it."""
    if plain in _A_BARE_YES:
        return "yes"
    if _OTHER_CHANNEL.search(plain):
        return ""
    about_mail = _ABOUT_MAIL.search(plain) is not None
    if _A_NO.search(plain) or (about_mail and _A_NO_ABOUT_MAIL.search(plain)):
        return "" if _NO_NO.search(plain) else "no"
    about_mail = about_mail and "notification" not in plain
    if about_mail and _A_YES_ABOUT_MAIL.search(plain):
        return "yes"
    if _A_STATE.search(plain):
        return "state" if about_mail else "any_state"
    return "object" if _ASKED_ABOUT.search(plain) else ""


def _says_no(plain: str, value: object) -> bool:
    match _consent_kind(plain):
        case "no":
            return read_opt_out(value) is True
        case "yes":
            return _opted_out_by_opt_in(value) is True or plain_name(word_of(value)) in _OPTED_OUT_STATES
        case "state":
            word = plain_name(word_of(value))
            return word in _OPTED_OUT_STATES or (plain.endswith(("frequency", "preference")) and word in _OPTED_OUT)
        case "any_state":
            return plain_name(word_of(value)).startswith(_ABOUT_MAIL_ALONE)
        case "" | "object":
            return False


def _opted_out_by_opt_in(value: object) -> bool | None:
    word = word_of(value)
    if not word or word in YES:
        return False if word else None
    plain = plain_name(word)
    return True if word in NO or plain in _OPTED_OUT else False if plain in _OPTED_IN else None


@lru_cache(maxsize=2048)
def _is_elsewhere(plain: str) -> bool:
    return _ELSEWHERE.search(plain) is not None


@lru_cache(maxsize=2048)
def _plain_short(name: str) -> str:
    return _NO_LETTER.sub("", unicodedata.normalize("NFKC", name)).casefold()


def plain_name(name: str) -> str:
    """A name without case, dollar sign, blanks, dashes and underscores, and with common letters for their look-alikes in width."""
    return _plain_short(name[:_MAX_NAME])
