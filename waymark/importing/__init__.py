"""Importing: posts a history file to the server as events, in the order of their times, with the same ids for every repeat."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from waymark.importing.errors import GaveUp, ImportStopped, ServerRefused, Unreadable
from waymark.importing.mapping import HistoryRecord, RecordMapper, SkippedLine
from waymark.importing.order import Unsorted, in_order, order_of
from waymark.importing.poster import Posted, Progress, Target, post
from waymark.importing.reader import HistoryFile, Line, open_history

__all__ = [
    "GaveUp",
    "HistoryFile",
    "HistoryRecord",
    "ImportResult",
    "ImportStopped",
    "Line",
    "Posted",
    "Progress",
    "RecordMapper",
    "ServerRefused",
    "SkippedLine",
    "Target",
    "Unreadable",
    "Unsorted",
    "import_file",
    "in_order",
    "open_history",
    "order_of",
    "post",
]


class ImportResult(NamedTuple):
    """What became of the file. `skipped` has the first 1,000 lines left out, `skipped_count` counts all.

    `unsorted`: it was not in order of time, and was sorted before it was sent.
    """

    import_id: str
    lines: int
    accounts: int
    posted: Posted
    skipped: tuple[SkippedLine, ...]
    skipped_count: int
    unsorted: Unsorted | None
    live: bool


async def import_file(
    path: Path | str,
    target: Target,
    now: datetime,
    live: bool | None = None,
    on_progress: Callable[[Progress, int], None] = lambda _progress, _size: None,
    import_id: str | None = None,
) -> ImportResult:
    """Import a file, or standard input for `-`: what `waymark import` calls. `on_progress` also gets the file's size.

    Whatever has the same import id is the same import, of which each position is taken once for ever.
    """
    with open_history(path) as opened:
        file = opened._replace(import_id=import_id or opened.import_id)
        order = order_of(file, lambda read: on_progress(Progress(0, read, "reading"), file.size))
        mapper = RecordMapper(file.import_id, now, live)
        lines = in_order(file, order, lambda read: on_progress(Progress(0, read, "sorting"), file.size))
        records = mapper.records(lines)
        posted = await post(records, target, file.import_id, lambda done: on_progress(done, file.size))
    return ImportResult(
        import_id=file.import_id,
        lines=mapper.lines,
        accounts=len(mapper.accounts),
        posted=posted,
        skipped=tuple(sorted(mapper.skipped)),
        skipped_count=mapper.skipped_count,
        unsorted=order.unsorted,
        live=mapper.live,
    )
