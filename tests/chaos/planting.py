"""How is something of the product replaced for a while? From outside, and not in silence where it is no longer there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Gone(Exception):  # noqa: N818  what it is
    """The product has no such attribute any more: the plant must follow it."""


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """`owner.name` is `value` in this block."""
    if name not in vars(owner):
        raise Gone(f"{owner!r} has no '{name}'")
    before = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
