"""Where does a page start? A cursor's values, each of the type that the query takes."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from shared.failures import Refused
from shared.http.paging import after

Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]
"""PostgreSQL keeps no NUL."""
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


def place(text: str | None, *types: Any) -> list[Any] | None:
    """The cursor's values; None for the first page. Raises Refused for what is not a cursor of ours."""
    values = after(text, len(types))
    if values is None:
        return None
    try:
        return [msgspec.convert(value, kind) for value, kind in zip(values, types, strict=True)]
    except msgspec.ValidationError:
        raise Refused("this cursor is not one of ours; start without it", "bad_cursor") from None
