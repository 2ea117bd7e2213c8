"""Keyset: a list in the order of any column and then of its ids, from behind the last row that was shown."""

from typing import Any

from sqlalchemy import ColumnElement, Select, literal, tuple_


def in_order(
    found: Select[Any],
    of: ColumnElement[Any],
    id_of: ColumnElement[Any],
    after: tuple[Any, str] | None,
    *,
    descending: bool,
) -> Select[Any]:
    """The rows by `of`, then by their ids; those behind this value and id where they are given."""
    if after is not None:
        here, last = tuple_(of, id_of), tuple_(literal(after[0], of.type), literal(after[1]))
        found = found.where(here < last if descending else here > last)
    return found.order_by(of.desc(), id_of.desc()) if descending else found.order_by(of, id_of)
