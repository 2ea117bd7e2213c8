"""Layout versions of stored state: every blob says how it is laid out, and older layouts are upcast when read.

A blob is 0xC1 (the one byte that no MessagePack value begins with), the number of its layout, and the MessagePack value;
where that is long, compressed (LZ4) behind a zero byte. A blob without the mark was written before layouts were numbered
and has layout 1.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import cramjam
import msgspec
from msgspec import inspect
from sqlalchemy import Column

from shared.failures import Halted

State = TypeVar("State", bound=msgspec.Struct)
Upcaster = Callable[[Any], Any]
"""Plain values (dicts, lists, datetimes: what MessagePack decodes to without a type) of one layout to those of the next."""

_MARK = 0xC1
_COMPRESSED = b"\0"


class NewerLayout(Halted):
    """A blob was written by a newer version of the code: this one must not touch it."""

    code = "newer_layout"


class Layouts(Generic[State]):
    """The layouts one kind of stored state has had, and the codec of the current one.

    Shapes: `upcasters` maps each earlier layout to the function that leads to the next one, without a gap from 1 to
    `current - 1`. States of `compress_from` bytes or more are compressed; beyond some 2,000 bytes PostgreSQL would do
    that itself with every write, at ten times the cost.

    Raises ValueError where a layout has no upcaster, TypeError where a keyed struct in the state would drop unknown names.
    """

    def __init__(
        self,
        state: type[State],
        current: int,
        upcasters: Mapping[int, Upcaster] | None = None,
        compress_from: int | None = None,
    ) -> None:
        self._upcasters = dict(upcasters or {})
        if sorted(self._upcasters) != list(range(1, current)):
            raise ValueError(f"{state.__name__}: layout {current} needs an upcaster from each of 1 to {current - 1}")
        if lax := sorted(set(_lax(inspect.type_info(state)))):
            raise TypeError(f"unknown names would be dropped in silence: forbid_unknown_fields of {', '.join(lax)}")
        self._state = state
        self.current = current
        self._head = bytes((_MARK, current))
        self._compress_from = compress_from
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(state).decode

    def encode(self, state: State) -> bytes:
        """The state as a blob of the current layout; the same state gives the same bytes."""
        plain = self._encode(state)
        if self._compress_from is not None and len(plain) >= self._compress_from:
            return self._head + _COMPRESSED + bytes(cramjam.lz4.compress_block(plain))
        return self._head + plain

    def decode(self, blob: bytes) -> State:
        """The state of a blob of any layout up to the current one.

        Raises NewerLayout, and msgspec.DecodeError for bytes that are no such state.
        """
        if blob[:2] == self._head:
            return self._decode(_plain(blob[2:]))
        layout, payload = layout_of(blob), blob[2:] if blob[:1] and blob[0] == _MARK else blob
        if layout > self.current:
            raise NewerLayout(
                f"a stored {self._state.__name__} has layout {layout}, this version of Waymark knows up to "
                f"{self.current}: run the version that wrote it, or a newer one"
            )
        return self._upcast(layout, msgspec.msgpack.decode(_plain(payload)))

    def _upcast(self, layout: int, plain: Any) -> State:
        for step in range(layout, self.current):
            plain = self._upcasters[step](plain)
        return msgspec.convert(plain, self._state)


def layout_of(blob: bytes) -> int:
    """The number of a blob's layout."""
    return blob[1] if len(blob) > 1 and blob[0] == _MARK else 1


class StoredLayout(NamedTuple):
    """A column of stored values that say their layout in their first bytes: the newest layout, and how it is read."""

    column: Column[Any]
    current: int
    read: Callable[[bytes], int] = layout_of

    @property
    def name(self) -> str:
        """TABLE.COLUMN."""
        return str(self.column)


def renamed(**names: str) -> Upcaster:
    """An upcaster of a keyed struct: `renamed(held="replaying")` gives the value of the old key to the new one."""

    def upcast(plain: dict[str, Any]) -> dict[str, Any]:
        return {names.get(key, key): value for key, value in plain.items()}

    return upcast


def _plain(payload: bytes) -> bytes:
    return bytes(cramjam.lz4.decompress_block(payload[1:])) if payload[:1] == _COMPRESSED else payload


def _lax(kind: inspect.Type) -> Iterator[str]:
    """The keyed structs within a type that would ignore a name they do not know."""
    seen: set[type] = set()

    def walk(kind: object) -> Iterator[str]:
        if isinstance(kind, inspect.StructType):
            if kind.cls in seen:
                return
            seen.add(kind.cls)
            if not kind.array_like and not kind.forbid_unknown_fields:
                yield kind.cls.__name__
            for field in kind.fields:
                yield from walk(field.type)
        elif isinstance(kind, inspect.UnionType):
            for one in kind.types:
                yield from walk(one)
        elif isinstance(kind, inspect.DictType):
            yield from walk(kind.value_type)
        elif isinstance(kind, inspect.ListType | inspect.VarTupleType | inspect.SetType):
            yield from walk(kind.item_type)

    yield from walk(kind)
