"""Commands of suppressions: a list of addresses not to write to is imported from CSV, exported to CSV; reports are handed in.

They speak to a running notify over REST, so that what is imported holds from that moment on.
"""

import csv
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from services.console.core.csv_export import cell
from shared.failures import Refused
from waymark.notify_client import Target, call, client

_BATCH = 500
_FIELDS = ("address", "reason", "topic", "at", "detail")
_ADDRESS_COLUMNS = ("address", "email", "email_address", "e-mail", "email address", "recipient")
_SHOWN = 10


async def import_file(file: Path, target: Target) -> None:
    """Post the list in batches, and say what became of it. Raises Refused for what is no list."""
    if str(file) == "-":
        return await _import(sys.stdin, target)
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            return await _import(text, target)
    except UnicodeDecodeError as error:
        raise Refused(f"{file} is not UTF-8 (byte {error.object[error.start]:#04x}): save it as CSV UTF-8") from None


async def _import(text: TextIO, target: Target) -> None:
    added, known, unreadable = 0, 0, list[int]()
    async with client(target) as http:
        rows = _rows(text)
        while batch := list(islice(rows, _BATCH)):
            taken = await call(http, "POST", "/notify/v1/suppressions", json={"items": [row for _, row in batch]})
            added, known = added + taken["added"], known + taken["known"]
            unreadable += [batch[index][0] for index in taken["unreadable"]]
    print(f"{added} added, {known} were known, {len(unreadable)} could not be read")
    for line in unreadable[:_SHOWN]:
        print(f"  line {line}: no mail address, or no time in 'at'")


def _rows(text: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """The list's rows with their line numbers: with a header that names its columns, or addresses alone, one a line."""
    lines = csv.reader(text)
    columns: Sequence[str] | None = None
    for row in lines:
        cells = [_text(text.strip()) for text in row]
        if not any(cells):
            continue
        if columns is None:
            columns = _columns(cells)
            if "@" not in cells[columns.index("address")]:
                continue
        named = dict(zip(columns, cells, strict=False))
        item = {name: named[name] for name in _FIELDS if named.get(name)}
        yield lines.line_num, {"address": "-@", **item}


def _columns(first: Sequence[str]) -> list[str]:
    names = [name.lower() for name in first]
    address = next((name for name in _ADDRESS_COLUMNS if name in names), None)
    if address is not None:
        return ["address" if name == address else name for name in names]
    if "@" in first[0]:
        return ["address"]
    raise Refused(f"no column 'address' (or 'email') in: {', '.join(first[:8])}")


async def export(target: Target) -> None:
    """Print every suppression that still knows its address as CSV, in the form that is imported."""
    written = csv.writer(sys.stdout, lineterminator="\n")
    cursor: str | None = None
    async with client(target) as http:
        while True:
            query = {"limit": _BATCH, **({"cursor": cursor} if cursor else {})}
            found = await call(http, "GET", "/notify/v1/suppressions", params=query)
            if cursor is None:
                written.writerow(_FIELDS)
            written.writerows([_cell(one[name]) for name in _FIELDS] for one in found["items"] if one["address"])
            cursor = found["next"]
            if cursor is None:
                return


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: what a mail server or a provider wrote stands in some. `import` reads it back."""
    return cell(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    """What stood in a cell before `_cell`."""
    return value[1:] if value.startswith("'") and cell(value[1:]) == value else value


async def hand_in_report(raw: bytes, target: Target) -> None:
    """Post a bounce or complaint that came as mail."""
    async with client(target) as http:
        taken = await call(http, "POST", "/notify/v1/feedback/mail", content=raw)
    print(
        f"{taken['suppressed']} suppressed, {taken['known']} were known, {taken['unbelieved']} named no delivery of ours"
    )
