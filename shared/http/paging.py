"""Pagination by opaque cursors: pages stay stable while rows are added and removed."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from fastapi import Query
from pydantic import AwareDatetime, BaseModel

from shared.failures import Refused

T = TypeVar("T")
MAX_PAGE = 500


class Page(BaseModel, Generic[T]):
    """One page. `next` is the cursor of the following one, null on the last."""

    items: list[T]
    next: str | None = None


class CountedPage(Page[T], Generic[T]):
    """One page of a list that can be counted. `total` is how many match, on all pages; null where nobody asked (`count=true`)."""

    total: int | None = None


Count = Annotated[bool, Query(description="true: `total` says how many match on all pages")]
"""The query parameter `count`."""
Since = Annotated[AwareDatetime | None, Query(description="from then on, with a time zone: 2026-11-22T12:00:00Z")]
"""The query parameter `since`."""


def encode_cursor(values: Sequence[Any]) -> str:
    """An opaque cursor standing for the last row's sort values (strings, numbers)."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(values))).decode().rstrip("=")


def decode_cursor(text: str | None, count: int) -> list[Any] | None:
    """The sort values of a cursor; None for the first page. Raises Refused for what is not a cursor of ours."""
    if not text:
        return None
    try:
        values = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (msgspec.DecodeError, binascii.Error, ValueError):
        values = None
    if not isinstance(values, list) or len(values) != count:
        raise Refused("this cursor is not one of ours; start without it", "bad_cursor")
    return values
