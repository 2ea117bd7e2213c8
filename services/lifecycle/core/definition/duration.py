"""How long is `7d`? Whole days or weeks: time moves an account at midnight only."""

import re
from datetime import timedelta

_DURATION = re.compile(r"(\d{1,4})([dw])")


def duration(text: str) -> timedelta:
    """`7d` or `2w`. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"'{text}' is not a duration: whole days or weeks, as 7d or 2w")
    return timedelta(days=int(match.group(1)) * (7 if match.group(2) == "w" else 1))
