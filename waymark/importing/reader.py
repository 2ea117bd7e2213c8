"""Reader of a history file: lines of a plain or gzipped NDJSON file or of standard input, its size, and its import id.

The import id is derived from the content, so the same file imported again is the same import wherever it lies.
That costs one reading ahead, and its order another. Standard input is copied to a temporary file for them.
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
from waymark.importing.errors import Unreadable

MAX_LINE = 1 << 20
"""Bytes; the server takes no larger event."""

_Readable = BufferedReader | BufferedRandom | gzip.GzipFile


class Line(NamedTuple):
    """One line. `bytes_read` counts the file's bytes on disk up to its end; a content of None is a line too long."""

    number: int
    content: bytes | None
    bytes_read: int


class HistoryFile(NamedTuple):
    """An open file. `size` is its size on disk."""

    file: BufferedReader | BufferedRandom
    size: int
    import_id: str

    def lines(self) -> Iterator[Line]:
        """Every line that is not blank, from the beginning. Raises Unreadable where a gzip file is damaged or cut off."""
        self.file.seek(0)
        is_gzip = self.file.peek(2)[:2] == b"\x1f\x8b"
        # Closing it is left to the file under it.
        plain: _Readable = gzip.GzipFile(fileobj=self.file) if is_gzip else self.file
        number = 0
        try:
            while content := plain.readline(MAX_LINE + 1):
                number += 1
                line = _whole_line(plain, content)
                if line is None or line.strip():
                    yield Line(number, line, self.file.tell())
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Unreadable(f"the file cannot be read after line {number}: {error}") from error


@contextmanager
def open_history(path: Path | str, stdin: IO[bytes] | None = None) -> Iterator[HistoryFile]:
    """Open a file, or standard input for `-`. Raises Unreadable where there is no such file, or it may not be read."""
    with _copied(stdin or sys.stdin.buffer) if str(path) == "-" else _opened(Path(path)) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
        yield HistoryFile(file, size, derived("import", digest))


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise Unreadable(f"there is no file {path} to import") from None
    except OSError as error:
        raise Unreadable(f"the file {path} cannot be read: {error.strerror}") from None


def _whole_line(plain: _Readable, content: bytes) -> bytes | None:
    """The line, or None after reading past one that is too long."""
    if len(content) <= MAX_LINE:
        return content
    while content and not content.endswith(b"\n"):
        content = plain.readline(MAX_LINE)
    return None


def _copied(stdin: IO[bytes]) -> BufferedRandom:
    file = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
    shutil.copyfileobj(stdin, file)
    file.seek(0)
    return file
