"""Order of a history file: what comes first happened first, in whatever order the file tells it.

An account takes its events in the order in which they arrive, and what happens in one account reaches others (who came by a
code, who is a member of what). So a file is sent in the order of its times; lines of one time keep the order of the file.
One that has another order is sorted first: in pieces that fit into memory, which wait in temporary files and are merged.
"""

import heapq
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from waymark.importing.errors import Unreadable
from waymark.importing.reader import HistoryFile, Line

PIECE = 64 << 20
"""Bytes of lines that are sorted in memory at once; with what Python needs for them some 150 MB."""
MOST_PIECES = 64
"""So many pieces are merged at once: each is an open file."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NEVER = -(1 << 62)
"""The time of a line that tells none: it is left out when it is mapped, and listed."""
_HEAD = struct.Struct("<qqi")
_TOLD_EVERY = 20_000


class _Times(msgspec.Struct):
    """What of a line tells when; the rest is skipped."""

    timestamp: object = None
    originalTimestamp: object = None  # noqa: N815  Segment's name


_decode = msgspec.json.Decoder(_Times).decode


class Unsorted(NamedTuple):
    """The first line that is earlier than one before it, and how many such lines there are."""

    number: int
    lines: int


class Order(NamedTuple):
    """What reading through a file found: the bytes of its lines, and whether they come in order."""

    bytes: int
    unsorted: Unsorted | None


OnRead = Callable[[int], None]
"""Is told the file's bytes read so far, every now and then."""


def moment(text: object) -> datetime | None:
    """A time as files tell it, in UTC; one without a zone is UTC. None for what is none."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def order_of(file: HistoryFile, on_read: OnRead = lambda _: None) -> Order:
    """Read through the file. Raises Unreadable where it is damaged or cut off: before anything of it was sent."""
    size, latest, first, late = 0, _NEVER, 0, 0
    for count, line in enumerate(file.lines()):
        size += len(line.content or b"")
        when = _when(line)
        if when >= latest:
            latest = when
        elif when != _NEVER:
            first, late = first or line.number, late + 1
        if count % _TOLD_EVERY == 0:
            on_read(line.bytes_read)
    return Order(size, Unsorted(first, late) if late else None)


def in_order(file: HistoryFile, order: Order, on_read: OnRead = lambda _: None) -> Iterator[Line]:
    """The file's lines by their times, those of one time as they stand. `bytes_read` grows with what was handed out."""
    if order.unsorted is None:
        yield from file.lines()
        return
    done = 0
    for _, number, content in sorted_by_time(_timed(file.lines(), on_read)):
        done += len(content)
        yield Line(number, content or None, file.size * done // max(1, order.bytes))


Timed = tuple[int, int, bytes]
"""A line: microseconds since 1970, its number, its content; empty where it is too long."""


def sorted_by_time(
    lines: Iterable[Timed], piece: int = PIECE, most: int = MOST_PIECES, folder: Path | None = None
) -> Iterator[Timed]:
    """The lines by time and number. No more than `piece` bytes of them are in memory at once, the rest in files in `folder`.

    Raises Unreadable where there is no room for temporary files.
    """
    pieces: list[IO[bytes]] = []
    try:
        held, size = list[Timed](), 0
        for line in lines:
            if held and size + len(line[2]) > piece:
                held.sort()
                pieces.append(_put_aside(held, folder))
                held, size = [], 0
            if len(pieces) == most:
                merged = _put_aside(heapq.merge(*map(_taken_up, pieces)), folder)
                _close(pieces)
                pieces = [merged]
            held.append(line)
            size += len(line[2])
        held.sort()
        yield from heapq.merge(*map(_taken_up, pieces), held)
    finally:
        _close(pieces)


def _timed(lines: Iterable[Line], on_read: OnRead) -> Iterator[Timed]:
    for count, line in enumerate(lines):
        yield _when(line), line.number, line.content or b""
        if count % _TOLD_EVERY == 0:
            on_read(line.bytes_read)


def _when(line: Line) -> int:
    try:
        times = _decode(line.content or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _NEVER
    at = moment(times.timestamp or times.originalTimestamp)
    return _NEVER if at is None else (at - _EPOCH) // _MICROSECOND


def _put_aside(lines: Iterable[Timed], folder: Path | None) -> IO[bytes]:
    """A temporary file of them, which is gone when it is closed or the process ends."""
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed by whoever merges it
        for when, number, content in lines:
            file.write(_HEAD.pack(when, number, len(content)))
            file.write(content)
        file.seek(0)
    except OSError as error:
        where = folder or tempfile.gettempdir()
        raise Unreadable(
            f"the file is not in order of time, and there is no room in {where} to sort it ({error.strerror}): "
            "set TMPDIR to a folder that has room for the unpacked file, or sort it yourself"
        ) from error
    return file


def _taken_up(file: IO[bytes]) -> Iterator[Timed]:
    while head := file.read(_HEAD.size):
        when, number, size = _HEAD.unpack(head)
        yield when, number, file.read(size)


def _close(pieces: Iterable[IO[bytes]]) -> None:
    for file in pieces:
        file.close()
