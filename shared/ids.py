"""Derived ids: an id is made from its cause, so that repeating an action repeats its id."""

from uuid import UUID, uuid5

_SPACE = UUID("6f0d3c7e-3f0a-5d3b-9a55-7761796d6172")


def derived(*cause: object) -> str:
    """A stable id of this cause: equal causes give equal ids, on every machine and in every run."""
    return str(uuid5(_SPACE, "\x1f".join(map(str, cause))))
