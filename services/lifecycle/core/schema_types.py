"""Types that every section of the definition's schema uses: strict structs, conditions and durations."""

import re
from datetime import timedelta

import msgspec

_DURATION = re.compile(r"(\d{1,4})([dw])")


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Refuses unknown keys, so that a typing mistake is a mistake."""


class AnyOf(Strict, frozen=True):
    """One of these is enough."""

    any: list[str]
    """CEL conditions of which one must be certainly true."""


When = list[str | AnyOf]
"""CEL conditions over metrics; all must certainly hold."""


def duration(text: str) -> timedelta:
    """`7d` or `2w`: whole days or weeks, for time moves an account at midnight only. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"'{text}' is not a duration: whole days or weeks, as 7d or 2w")
    return timedelta(days=int(match.group(1)) * (7 if match.group(2) == "w" else 1))
