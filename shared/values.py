"""Values: the one reader of numbers, money, times, booleans and scores that customers' tools send.

Every reader gives None for a value it cannot read; nobody guesses. Text is read where it has one meaning only: "49.00" and
"1.234,50" are numbers, "1,234" (a thousand, or one and a bit) is none; "2027-06-01" is a date, "01/06/2027" is none.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal

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
YES = frozenset({"true", "t", "yes", "y", "on", "1", "1.0"})
NO = frozenset({"false", "f", "no", "n", "off", "0", "0.0"})
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
    word = word_of(value)
    return True if word in YES else False if word in NO else None


def word_of(value: object) -> str:
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
