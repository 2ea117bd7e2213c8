"""Where do the lines come from? A file, plain or gzipped, or standard input; with its size and its name for ids.

The import id is derived from the content, so the same file imported again is the same import wherever it lies.
That costs one reading ahead. Standard input is kept in a temporary file for it.
"""

import gzip
import hashlib
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import IO, NamedTuple

from shared.ids import derived
from waymark.importing.failures import Unreadable

MAX_LINE = 1 << 20
"""Bytes; the server takes no larger event."""


_Readable = BufferedReader | BufferedRandom | gzip.GzipFile


class Line(NamedTuple):
    """One line. `read` is how far into the file (as it lies on disk) it took us; None stands for one too long."""

    number: int
    content: bytes | None
    read: int


class Source(NamedTuple):
    """An open file. `size` is what it occupies on disk."""

    file: BufferedReader | BufferedRandom
    size: int
    import_id: str

    def lines(self) -> Iterator[Line]:
        """Every line that is not blank. Raises Unreadable where a gzip file is damaged or cut off."""
        packed = self.file.peek(2)[:2] == b"\x1f\x8b"
        # Closing it is left to the file under it.
        plain: _Readable = gzip.GzipFile(fileobj=self.file) if packed else self.file
        number = 0
        try:
            while content := plain.readline(MAX_LINE + 1):
                number += 1
                whole = _whole(plain, content)
                if whole is None or whole.strip():
                    yield Line(number, whole, self.file.tell())
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Unreadable(f"the file cannot be read after line {number}: {error}") from error


def _whole(plain: _Readable, content: bytes) -> bytes | None:
    """The line, or None after reading past one that is too long."""
    if len(content) <= MAX_LINE:
        return content
    while content and not content.endswith(b"\n"):
        content = plain.readline(MAX_LINE)
    return None


def _kept(stdin: IO[bytes]) -> BufferedRandom:
    file = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
    shutil.copyfileobj(stdin, file)
    file.seek(0)
    return file


@contextmanager
def opened(path: Path | str, stdin: IO[bytes] | None = None) -> Iterator[Source]:
    """Open a file, or standard input for `-`."""
    with _kept(stdin or sys.stdin.buffer) if str(path) == "-" else Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
        file.seek(0)
        yield Source(file, size, derived("import", digest))
