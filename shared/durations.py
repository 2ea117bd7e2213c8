"""Durations of definition files: `30m`, `12h`, `90d` or `2w`, and how a person reads them."""

import re
from datetime import timedelta
from typing import ClassVar, Self

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_WRITTEN = re.compile(r"(\d{1,4})([mhdw])")


class Duration(timedelta):
    """A duration as a definition file has it: whole minutes, hours, days or weeks.

    As the type of a field it is read from text; a subclass narrows the range, and what is outside is a mistake with its line.
    """

    shortest: ClassVar[timedelta] = timedelta(minutes=1)
    longest: ClassVar[timedelta] = timedelta(days=3650)

    @classmethod
    def parse(cls, text: object) -> Self:
        """The duration of `90d`. Raises ValueError for what is none, or out of this type's range."""
        match = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"'{text}' is not a duration: write 30m, 12h, 90d or 2w")
        length = int(match[1]) * _UNITS[match[2]]
        if not cls.shortest <= length <= cls.longest:
            raise ValueError(f"'{text}' is not between {in_words(cls.shortest)} and {in_words(cls.longest)}")
        return cls(seconds=length.total_seconds())


def in_words(length: timedelta) -> str:
    """As a sentence has it, in the longest unit that is whole: `60 days`, `1 hour`."""
    for unit, name in ((_UNITS["d"], "day"), (_UNITS["h"], "hour")):
        if not length % unit:
            return _counted(length // unit, name)
    return _counted(length // _UNITS["m"], "minute")


def _counted(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
