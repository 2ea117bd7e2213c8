"""Layout versions of stored state: old blobs are upcast, newer ones refused, unknown names never dropped."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from shared.db.layouts import Layouts, NewerLayout, layout_of, renamed

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Before(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    id: str
    held: bool = False
    at: datetime | None = None


class After(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    id: str
    replaying: bool = False
    at: datetime | None = None


class Positional(msgspec.Struct, array_like=True):
    id: str
    seen: list[int] = []


UPCAST = renamed(held="replaying")


def test_a_state_comes_back_as_it_was_encoded() -> None:
    layouts = Layouts(After, 2, {1: UPCAST})

    assert layouts.decode(layouts.encode(After("acme", True, AT))) == After("acme", True, AT)


def test_a_blob_from_before_layouts_were_numbered_is_upcast_from_layout_1() -> None:
    old = msgspec.msgpack.encode(Before("acme", True, AT))

    assert layout_of(old) == 1
    assert Layouts(After, 2, {1: UPCAST}).decode(old) == After("acme", True, AT)


def test_a_numbered_blob_passes_every_upcaster_after_its_own_layout() -> None:
    steps: dict[int, Any] = {1: UPCAST, 2: lambda plain: {**plain, "id": plain["id"].upper()}}

    assert Layouts(After, 3, steps).decode(Layouts(After, 2, {1: UPCAST}).encode(After("a"))) == After("A")


def test_a_newer_layout_is_refused() -> None:
    newer = Layouts(After, 3, {1: UPCAST, 2: lambda plain: plain}).encode(After("acme"))

    with pytest.raises(NewerLayout, match="layout 3, this version of Waymark knows up to 2"):
        Layouts(After, 2, {1: UPCAST}).decode(newer)


def test_a_renamed_field_without_an_upcaster_is_an_error_and_not_a_lost_value() -> None:
    old = msgspec.msgpack.encode(Before("acme", True))

    with pytest.raises(msgspec.ValidationError, match="held"):
        Layouts(After, 1).decode(old)


def test_a_keyed_struct_that_would_drop_unknown_names_is_refused_wherever_it_stands() -> None:
    class Lax(msgspec.Struct):
        id: str

    class Strict(msgspec.Struct, forbid_unknown_fields=True):
        inner: dict[str, list[Lax | None]] = {}

    with pytest.raises(TypeError, match="Lax"):
        Layouts(Strict, 1)


@pytest.mark.parametrize("upcasters", [{}, {2: UPCAST}, {1: UPCAST, 2: UPCAST}])
def test_a_layout_without_its_upcaster_is_refused(upcasters: dict[int, Any]) -> None:
    with pytest.raises(ValueError, match="upcaster"):
        Layouts(After, 2, upcasters)


def test_long_states_are_compressed_and_read_with_and_without_the_mark() -> None:
    layouts, state = Layouts(Positional, 1, compress_from=1_000), Positional("acme", [7] * 5_000)
    blob = layouts.encode(state)

    assert len(blob) < 1_000
    assert layouts.decode(blob) == layouts.decode(blob[2:]) == state
