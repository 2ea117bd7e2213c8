"""Commands of suppressions: a list of addresses not to write to is imported from CSV, exported to CSV; reports are handed in.

They speak to a running notify over REST, so that what is imported holds from that moment on.
"""

import csv
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import httpx2

from shared.failures import Refused, Retry
from shared.keys import credentials
from shared.settings import Settings

_BATCH = 500
_FIELDS = ("address", "reason", "topic", "at", "detail")
_ADDRESS_COLUMNS = ("address", "email", "email_address", "e-mail", "email address", "recipient")
_SHOWN = 10


class Target(NamedTuple):
    """Where notify answers, and the admin key to speak to it with."""

    url: str
    key: str


def target_of(settings: Settings, url: str | None, key: str | None) -> Target:
    """By default this installation's own notify and its generated admin key."""
    where = url or settings.notify_url or f"http://{settings.host}:{settings.port}"
    return Target(where.rstrip("/"), key or credentials(settings.data).admin)


async def import_file(file: Path, target: Target) -> None:
    """Post the list in batches, and say what became of it. Raises Refused for what is no list."""
    if str(file) == "-":
        return await _import(sys.stdin, target)
    with file.open(encoding="utf-8-sig", newline="") as text:
        return await _import(text, target)


async def _import(text: TextIO, target: Target) -> None:
    added, known, unreadable = 0, 0, list[int]()
    async with _client(target) as http:
        rows = _rows(text)
        while batch := list(islice(rows, _BATCH)):
            taken = await _call(http, "POST", "/notify/v1/suppressions", json={"items": [row for _, row in batch]})
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
        cells = [cell.strip() for cell in row]
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
    names = [cell.lower() for cell in first]
    address = next((name for name in _ADDRESS_COLUMNS if name in names), None)
    if address is not None:
        return ["address" if name == address else name for name in names]
    if "@" in first[0]:
        return ["address"]
    raise Refused(f"no column 'address' (or 'email') in: {', '.join(first[:8])}")


async def export(target: Target) -> None:
    """Print every suppression that still knows its address as CSV, in the form that is imported."""
    written = csv.writer(sys.stdout, lineterminator="\n")
    written.writerow(_FIELDS)
    cursor: str | None = None
    async with _client(target) as http:
        while True:
            query = {"limit": _BATCH, **({"cursor": cursor} if cursor else {})}
            found = await _call(http, "GET", "/notify/v1/suppressions", params=query)
            written.writerows([one[name] for name in _FIELDS] for one in found["items"] if one["address"])
            cursor = found["next"]
            if cursor is None:
                return


async def hand_in_report(raw: bytes, target: Target) -> None:
    """Post a bounce or complaint that came as mail."""
    async with _client(target) as http:
        taken = await _call(http, "POST", "/notify/v1/feedback/mail", content=raw)
    print(
        f"{taken['suppressed']} suppressed, {taken['known']} were known, {taken['unbelieved']} named no delivery of ours"
    )


def _client(target: Target) -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {target.key}"}
    return httpx2.AsyncClient(base_url=target.url, headers=headers, timeout=60)


async def _call(http: httpx2.AsyncClient, method: str, path: str, **request: Any) -> Any:
    """The answer. Raises Refused with what notify said, Retry where it does not answer."""
    try:
        answer = await http.request(method, path, **request)
    except httpx2.TransportError as error:
        raise Retry(f"notify does not answer at {http.base_url}: {type(error).__name__}") from None
    if answer.status_code != 200:
        raise Refused(f"notify answered {answer.status_code}: {answer.text[:300]}")
    return answer.json()
