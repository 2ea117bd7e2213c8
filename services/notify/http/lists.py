"""How do lists read? Cursors of a moment and an id, and filters that must not be typos."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated

from fastapi import Query

from shared.failures import Refused
from shared.http.paging import MOST, after

Cursor = Annotated[str | None, Query(alias="cursor", description="`next` of the page before", max_length=1000)]
Limit = Annotated[int, Query(ge=1, le=MOST)]
Filter = Annotated[str | None, Query(max_length=200)]


def moment_and_id(text: str | None) -> tuple[datetime, str] | None:
    """The last row of the page before. Raises Refused for what is no cursor of such a list."""
    values = after(text, 2)
    if values is None:
        return None
    try:
        at = datetime.fromisoformat(values[0])
    except (ValueError, TypeError):
        at = None
    if at is None or at.tzinfo is None or not isinstance(values[1], str):
        raise Refused("this cursor is not one of ours; start without it", "bad_cursor")
    return at, values[1]


def known(what: str, given: str | None, there_are: Collection[str]) -> None:
    """Raises Refused for a filter that can never match: a typo must not look like an empty list."""
    if given is not None and given not in there_are:
        raise Refused(f"no {what} '{given}'; there are: {', '.join(there_are)}", f"unknown_{what}")
