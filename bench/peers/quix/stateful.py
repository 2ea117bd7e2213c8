"""Stateful fold in Quix: its `State` in RocksDB, and what its files hold after the last checkpoint."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peer import Job, fold, state
from peer import State as Kept
from quixstreams import State
from rocksdict import AccessType, Options, Rdict
from running import run

_DATA = "default"


def main(of: Job, *, changelog: bool) -> None:
    """Run it, and show what the files hold."""

    def step(event: dict[str, Any], store: State) -> dict[str, Any] | None:
        kept: Kept = store.get("kept") or state()
        made = fold(kept, event["properties"]["feature"], event["at"], of.threshold)
        store.set("kept", kept)
        return {"account": event["account"], "count": kept["count"], "at": kept["last"]} if made else None

    run(of, lambda stream: stream.apply(step, stateful=True), lambda: dict(_found(of)), changelog=changelog)


def _found(of: Job) -> Iterator[tuple[str, Kept]]:
    for marker in Path(of.folder, "state").rglob("CURRENT"):
        yield from _held(str(marker.parent))


def _held(folder: str) -> Iterator[tuple[str, Kept]]:
    """A key is the message's and the state's own, both as JSON, with a bar between."""
    names = Rdict.list_cf(folder)
    options = {name: Options(raw_mode=True) for name in names}
    files = Rdict(folder, Options(raw_mode=True), column_families=options, access_type=AccessType.read_only())
    for key, value in files.get_column_family(_DATA).items():
        account, _, own = key.partition(b"|")
        if own == b'"kept"':
            yield json.loads(account), json.loads(value)
