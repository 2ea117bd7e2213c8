"""Journal: lines of JSON that a crash does not lose, and a tail of them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """Appends lines; `sync` forces each to the disk before `add` returns."""

    def __init__(self, file: Path, *, sync: bool = True) -> None:
        self._file = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._sync = sync

    def add(self, line: object) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")
        if self._sync:
            os.fsync(self._file)


def lines(file: Path) -> Iterator[Any]:
    """Every whole line there is."""
    if not file.exists():
        return
    with file.open("rb") as found:
        for line in found:
            if line.endswith(b"\n"):
                yield json.loads(line)


class Tail:
    """What was added since the last look."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._at = 0

    def news(self) -> list[Any]:
        if not self._file.exists():
            return []
        with self._file.open("rb") as found:
            found.seek(self._at)
            whole = found.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        self._at += len(whole)
        return [json.loads(line) for line in whole.splitlines()]
