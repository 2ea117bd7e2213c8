"""Lists of REST: their pages by opaque cursors, stable while rows are added and removed; their orders, and filters that can match."""

import base64
import binascii
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
from fastapi import Query
from pydantic import AwareDatetime, BaseModel

from shared.failures import Refused
from shared.values import read_time

T = TypeVar("T")
MAX_PAGE = 500


class Page(BaseModel, Generic[T]):
    """One page. `next` is the cursor of the following one, null on the last."""

    items: list[T]
    next: str | None = None


class CountedPage(Page[T], Generic[T]):
    """One page of a list that can be counted. `total` is how many match, on all pages; null where nobody asked (`count=true`)."""

    total: int | None = None


Cursor = Annotated[str | None, Query(alias="cursor", description="`next` of the page before")]
"""The query parameter `cursor`."""
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
"""The query parameter `limit`."""
Count = Annotated[bool, Query(description="true: `total` says how many match on all pages")]
"""The query parameter `count`."""
Since = Annotated[AwareDatetime | None, Query(description="from then on, with a time zone: 2026-11-22T12:00:00Z")]
"""The query parameter `since`."""


class Order(NamedTuple):
    """What a list is sorted by, and whether from the end."""

    by: str
    descending: bool


def order_of(sort: str, sorts: Collection[str]) -> Order:
    """The order that the query parameter `sort` asks for: one of `sorts`, perhaps with `-` before it. Raises Refused for another."""
    by = sort.removeprefix("-")
    if by not in sorts:
        raise Refused(f"no sort '{by}'; there are: {', '.join(sorts)}", "unknown_sort")
    return Order(by, sort.startswith("-"))


def sorts_in_words(sorts: Iterable[str]) -> str:
    """What a list may be sorted by, as the documentation of `sort` says it."""
    return f"{', '.join(sorts)}; from the end with - before it"


def refuse_unknown(what: str, given: str | None, there_are: Collection[str]) -> None:
    """Raises Refused for a filter that can never match: a typo must not look like an empty list."""
    if given is not None and given not in there_are:
        raise Refused(f"no {what} '{given}'; there are: {', '.join(there_are)}", f"unknown_{what}")


def encode_cursor(values: Sequence[Any]) -> str:
    """An opaque cursor standing for the last row's sort values (strings, numbers, times)."""
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(msgspec.json.encode(plain)).decode().rstrip("=")


def decode_cursor(text: str | None, count: int) -> list[Any] | None:
    """The sort values of a cursor; None for the first page. Raises Refused for what is not a cursor of ours."""
    if not text:
        return None
    try:
        values = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (msgspec.DecodeError, binascii.Error, ValueError):
        values = None
    if not isinstance(values, list) or len(values) != count:
        raise bad_cursor()
    return values


def decode_text_cursor(text: str | None, *, is_time: bool) -> tuple[Any, str] | None:
    """Sort value and id of the last row of the page before, where the list is sorted by texts or by times; None for the first page.

    Raises Refused for what is no cursor of such a list.
    """
    values = decode_cursor(text, 2)
    if values is None:
        return None
    value: Any = values[0]
    if is_time:
        value = read_time(value) if isinstance(value, str) else None
    if value is None or not all(isinstance(each, str) and "\0" not in each for each in values):
        raise bad_cursor()
    return value, values[1]


def bad_cursor() -> Refused:
    """The refusal of what is not a cursor of ours."""
    return Refused("this cursor is not one of ours; start without it", "bad_cursor")
