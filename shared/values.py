"""Values: the one reader of numbers, money, times, booleans, scores and opt-outs that customers' tools send.

Every reader gives None for a value it cannot read; nobody guesses. Text is read where it has one meaning only: "49.00" and
"1.234,50" are numbers, "1,234" (a thousand, or one and a bit) is none; "2027-06-01" is a date, "01/06/2027" is none.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Literal, NamedTuple

MAX_NUMBER = 1e15
"""Beyond this a product's number is a mistake: floats would no longer count by ones."""
_MAX_TEXT = 64
"""A longer text is no number and no date."""
_MILLISECONDS = 1e11
"""A time above this is in milliseconds since 1970, below in seconds."""
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_GROUPED = re.compile(
    r"[+-]?\d{1,3}(?:(?:,\d{3})+\.\d+|(?:\.\d{3})+,\d+|(?:,\d{3}){2,}|(?:\.\d{3}){2,}|(?:[ \u00a0\u202f'\u2019]\d{3})+(?:[.,]\d+)?)",
    re.ASCII,
)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,(?:\d{1,2}|\d{4,})", re.ASCII)
_SCORE = re.compile(r"-?\d{1,3}(?:\.0)?", re.ASCII)
_SEPARATORS = re.compile(r"[ \u00a0\u202f'\u2019]")
_SINCE_1970 = re.compile(r"\d{9,14}(?:\.\d+)?", re.ASCII)
_YEAR_FIRST = re.compile(r"(\d{4})/(\d{2})/(\d{2})", re.ASCII)
_YES = frozenset({"true", "t", "yes", "y", "on", "1", "1.0"})
_NO = frozenset({"false", "f", "no", "n", "off", "0", "0.0"})
_NOT_OPTED_OUT = _NO | {"subscribed"}
_OPTED_OUT = frozenset({"unsubscribed", "opted_out", "opted out", "opted-out", "optedout", "never", "none"})
_OPTED_IN = frozenset({"subscribed", "opted_in", "opted in", "opted-in", "optedin"})
_OPTED_OUT_STATES = (_OPTED_OUT - {"never", "none"}) | {
    "suppressed",
    "cleaned",
    "do not contact",
    "revoked",
    "withdrawn",
}
_NO_LETTER = re.compile(r"[\W_]+")
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
_A_NO = re.compile(
    r"unsubscri|dono?t(?:e?mail|send|contact|market)|^no(?:e?mails?|marketing|newsletters?)$"
    r"|suppress(?:ed)?e?mails?$|^(?:is|has|user|global|all)?opt(?:ed)?out(?:at|on|date|all)?$"
)
_A_NO_ABOUT_MAIL = re.compile(
    r"opt(?:ed|s)?out|revoked|withdrawn|declined|refused|rejected|denied|disabled|suppressed|suspended|stopped"
)
_NO_NO = re.compile(
    r"^(?:not(?!if)|never|can)|(?:url|link|token|hash|key|ids?|groups?|page|count|topics|lists?|template|enabled|allowed)$"
)
"""What stands around a no in names that say none: `unsubscribe_url`, `not_unsubscribed`."""
_A_YES_ABOUT_MAIL = re.compile(
    r"opt(?:ed|s)?in|subscribed?|consent|accepts?|agreed?|permission|permitted|allowed|enabled|wants?|receives?"
)
_A_STATE = re.compile(r"(?:status|state|preferences?|subscription)$")
_ASKED_ABOUT = re.compile(r"consent|preference|subscription|permission|optin|optout|unsubscri")
_OF_MAIL = frozenset(
    [
        "email",
        "emails",
        "mail",
        "marketing",
        "newsletter",
        "newsletters",
        "marketingemail",
        "marketingemails",
        "emailmarketing",
        "promotions",
        "promotional",
        "news",
        "all",
        "global",
    ]
)
"""Names inside an object that is about consent."""
_MINOR_DIGITS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
"""ISO 4217: the digits of a currency's minor unit where they are not two."""
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_CURRENCY_SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹"}
"""What stands before an amount where the sign says more than the code."""
_ROUNDING_NOISE = Decimal("0.0001")
"""Of a minor unit: what binary floats add to 0.30."""


def read_number(value: object) -> int | float | None:
    """A number or a text of one, whole where it is whole; at most 1e15 on either side of zero."""
    number = value if type(value) is float or type(value) is int else _number_in(value)
    if number is None or not -MAX_NUMBER <= number <= MAX_NUMBER:
        return None
    return int(number) if number == int(number) else number


def read_score(value: object, scale: range) -> int | None:
    """A whole number on the scale: 9, 9.0 and "9" are; 8.5, 11 and true are not on `range(11)`."""
    if isinstance(value, str) and not _SCORE.fullmatch(value.strip()):
        return None
    number = read_number(value)
    return number if isinstance(number, int) and number in scale else None


def read_minor_units(amount: object, currency: object) -> int | None:
    """An amount of money in its currency's minor units: 49.00 EUR are 4900, 5000 JPY are 5000."""
    digits = minor_digits(currency)
    number = read_number(amount)
    if digits is None or number is None:
        return None
    exact = Decimal(str(number)).scaleb(digits)
    whole = exact.to_integral_value()
    return int(whole) if abs(exact - whole) <= _ROUNDING_NOISE else None


def major_units(amount: int, currency: object) -> Decimal:
    """Minor units as people write them, with the currency's digits: 4900 EUR are 49.00, 5000 JPY are 5000."""
    digits = minor_digits(currency)
    return Decimal(amount).scaleb(-(2 if digits is None else digits))


def written_money(amount: Decimal | float, currency: object = "") -> str:
    """Major units as people read them: 1188.5 of EUR as €1,188.50, of CHF as CHF 1,188.50, of nothing as 1,188.50."""
    code = currency.strip().upper() if isinstance(currency, str) else ""
    digits = minor_digits(code)
    figure = f"{abs(amount):,.{2 if digits is None else digits}f}"
    sign = "-" if amount < 0 else ""
    return f"{sign}{_CURRENCY_SIGNS[code]}{figure}" if code in _CURRENCY_SIGNS else f"{code} {sign}{figure}".strip()


def minor_digits(currency: object) -> int | None:
    """How many decimal digits a currency has; None for what is no ISO 4217 code."""
    code = currency.strip().upper() if isinstance(currency, str) else ""
    return _MINOR_DIGITS.get(code, 2) if _CURRENCY.fullmatch(code) else None


def read_time(value: object) -> datetime | None:
    """A moment in UTC: ISO 8601 (UTC where it names no zone), or seconds or milliseconds since 1970, be it as text."""
    try:
        if isinstance(value, str):
            return _iso(value) if value[4:5] == "-" else _time_in(value.strip())
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return datetime.fromtimestamp(value / 1000 if abs(value) > _MILLISECONDS else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def read_boolean(value: object) -> bool | None:
    """True, false, 1, 0, and the words for them in any case."""
    word = _word(value)
    return True if word in _YES else False if word in _NO else None


def read_opt_out(value: object) -> bool | None:
    """Whether somebody said no to mail. Only a clear "not unsubscribed" is false; any other text or number is a no to mail.

    None where nothing was said: null, a blank text, an object or a list.
    """
    word = _word(value)
    return word not in _NOT_OPTED_OUT if word else None


class ConsentTrait(NamedTuple):
    """What one trait of a person says about mail: True is a no, False a yes, None nothing that could be read."""

    name: str
    value: object
    opted_out: bool | None


def read_consent_traits(traits: Mapping[str, object]) -> list[ConsentTrait]:
    """What the traits of a person say about mail, by all the names that tools have for it, in any case and spelling.

    A name that only looks like one of consent, or stands inside an object (`consent: {email: false}`), is heard as a no, never as
    a yes.
    """
    found = []
    for name, value in traits.items():
        short = name if len(name) <= _MAX_TEXT else name[:_MAX_TEXT]  # what is remembered of names has a bound
        kind = _kind_of(short)
        if not kind:  # all but a few
            continue
        plain = _plain(short)
        if kind == "opt_out":
            found.append(ConsentTrait(name, value, read_opt_out(value)))
        elif kind == "opt_in":
            found.append(ConsentTrait(name, value, _opted_out_by_opt_in(value)))
        elif _says_no(plain, value):
            found.append(ConsentTrait(name, value, opted_out=True))
        if isinstance(value, Mapping) and _consent_kind(plain):
            found += [
                ConsentTrait(f"{name}.{inner}", said, opted_out=True)
                for inner, said in value.items()
                if _says_no_inside(plain, _plain(inner[:_MAX_TEXT]), said)
            ]
    return found


_ConsentKind = Literal["", "no", "yes", "state", "object"]


@lru_cache(maxsize=4096)
def _kind_of(name: str) -> _ConsentKind | Literal["opt_out", "opt_in"]:
    """What a trait's name says: of a list of ours, or what it looks like."""
    plain = _plain(name)
    if plain in _OPT_OUT_TRAITS:
        return "opt_out"
    return "opt_in" if plain in _OPT_IN_TRAITS else _consent_kind(plain)


@lru_cache(maxsize=2048)
def _consent_kind(plain: str) -> _ConsentKind:
    """What a name that is in no list looks like: of a no, of a yes, of a state of consent, or of an object about it."""
    if _OTHER_CHANNEL.search(plain):
        return ""
    about_mail = _ABOUT_MAIL.search(plain) is not None
    if _A_NO.search(plain) or (about_mail and _A_NO_ABOUT_MAIL.search(plain)):
        return "" if _NO_NO.search(plain) else "no"
    if about_mail and "notification" not in plain:
        if _A_YES_ABOUT_MAIL.search(plain):
            return "yes"
        if _A_STATE.search(plain):
            return "state"
    return "object" if _ASKED_ABOUT.search(plain) else ""


def _says_no(plain: str, value: object) -> bool:
    match _consent_kind(plain):
        case "no":
            return read_opt_out(value) is True
        case "yes":
            return _opted_out_by_opt_in(value) is True or _word(value) in _OPTED_OUT_STATES
        case "state":
            return _word(value) in _OPTED_OUT_STATES
        case "" | "object":
            return False


def _says_no_inside(outer: str, inner: str, value: object) -> bool:
    """Whether a member of an object about consent says no to mail."""
    if inner in _OPT_OUT_TRAITS:
        return read_opt_out(value) is True
    if inner in _OPT_IN_TRAITS:
        return _opted_out_by_opt_in(value) is True
    if _says_no(inner, value):
        return True
    if inner in _OF_MAIL:
        is_no = _consent_kind(outer) == "no"
        return (read_opt_out(value) if is_no else _opted_out_by_opt_in(value)) is True
    return (
        _consent_kind(outer) in {"state", "yes"}
        and _A_STATE.search(inner) is not None
        and _says_no(outer + inner, value)
    )


def _opted_out_by_opt_in(value: object) -> bool | None:
    word = _word(value)
    return True if word in _NO or word in _OPTED_OUT else False if word in _YES or word in _OPTED_IN else None


@lru_cache(maxsize=2048)
def _plain(name: str) -> str:
    """A trait's name without case, dollar sign, blanks, dashes and underscores."""
    return _NO_LETTER.sub("", name[:_MAX_TEXT]).casefold()


def _word(value: object) -> str:
    """A scalar as a lower-case word; empty for what is none."""
    return str(value).strip().casefold() if isinstance(value, str | int | float) else ""


def _number_in(value: object) -> float | None:
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > _MAX_TEXT:
        return None
    if _NUMBER.fullmatch(text):
        return float(text)
    if _GROUPED.fullmatch(text) or _DECIMAL_COMMA.fullmatch(text):
        return float(_with_decimal_point(_SEPARATORS.sub("", text)))
    return None


def _with_decimal_point(text: str) -> str:
    """The number without separators of thousands: the last mark, where it stands once, is the decimal one."""
    mark = max(",.", key=text.rfind)
    if text.count(mark) != 1:
        return text.replace(",", "").replace(".", "")
    whole, _, decimals = text.rpartition(mark)
    return f"{whole.replace(',', '').replace('.', '')}.{decimals}"


def _time_in(text: str) -> datetime | None:
    if len(text) > _MAX_TEXT:
        return None
    if _SINCE_1970.fullmatch(text):
        return read_time(float(text))
    return _iso(_YEAR_FIRST.sub(r"\1-\2-\3", text))


def _iso(text: str) -> datetime:
    """ISO 8601. Raises ValueError."""
    at = datetime.fromisoformat(text.strip())
    if at.tzinfo is UTC:
        return at
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
