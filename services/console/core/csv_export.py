"""CSV export: lines (RFC 4180) that a spreadsheet takes for text and numbers, never for formulas.

Names are the customers' to choose: "=HYPERLINK(...)" in a cell would run in the spreadsheet of whoever opens the file. A text that
begins like a formula gets an apostrophe before it, as OWASP advises.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}")
_MORE_FORMULA = ("\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}")
BYTE_ORDER_MARK = "\ufeff"
"""Without it Excel reads UTF-8 as the code page of the machine."""


class Column(NamedTuple):
    """A column of the file: its head, and its value of a row of a REST answer."""

    head: str
    value: Callable[[Mapping[str, Any]], Any]


def column(head: str, field: str) -> Column:
    """The column of one field."""
    return Column(head, lambda row: row.get(field))


def heads(columns: Sequence[Column]) -> str:
    """The first line, behind the byte order mark."""
    return BYTE_ORDER_MARK + _line(each.head for each in columns)


def lines(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> str:
    """A line for each row."""
    return "".join(_line(each.value(row) for each in columns) for row in rows)


def cell(value: Any) -> str | float:
    """A value as a cell: numbers as they are, nothing for what is missing, a list or names with values as parts, no formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return value
    if isinstance(value, dict):
        value = [f"{name}: {of}" for name, of in value.items()]
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"'{text}" if text.lstrip(" \u00a0").startswith((*_FORMULA, *_MORE_FORMULA)) else text


def _line(values: Iterable[Any]) -> str:
    return ",".join(_quoted(str(cell(value))) for value in values) + "\r\n"


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"' if any(each in text for each in '",\r\n') else text
