"""How long is `7d`? Durations as people write them: whole minutes, hours, days or weeks."""

import re
from datetime import timedelta

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_WRITTEN = re.compile(r"(\d{1,4})([mhdw])")


def duration(text: str) -> timedelta | None:
    """The length of time; None where it is not one (write 30m, 12h, 7d or 2w)."""
    match = _WRITTEN.fullmatch(text)
    return int(match[1]) * _UNITS[match[2]] if match else None
