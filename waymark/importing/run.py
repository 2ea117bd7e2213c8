"""How is a whole file imported? Read, post, and say what became of it: what `waymark import` calls."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from waymark.importing.history import BadLine, History, Late
from waymark.importing.posting import Posted, Progress, Target, post
from waymark.importing.source import opened


class Imported(NamedTuple):
    """What became of the file. `bad` holds the first 1,000 lines left out, `bad_count` counts all."""

    import_id: str
    lines: int
    accounts: int
    posted: Posted
    bad: tuple[BadLine, ...]
    bad_count: int
    late: Late | None
    live: bool


async def import_file(
    path: Path | str,
    target: Target,
    now: datetime,
    live: bool | None = None,
    progress: Callable[[Progress, int], None] = lambda _progress, _size: None,
) -> Imported:
    """Import a file, or standard input for `-`. `progress` also hears the file's size in bytes."""
    with opened(path) as source:
        history = History(source.import_id, now, live)
        records = history.records(source.lines())
        posted = await post(records, target, source.import_id, lambda done: progress(done, source.size))
    return Imported(
        import_id=source.import_id,
        lines=history.lines,
        accounts=len(history.accounts),
        posted=posted,
        bad=tuple(history.bad),
        bad_count=history.bad_count,
        late=history.late,
        live=history.live,
    )
