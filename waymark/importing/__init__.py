"""Importing: posts a history file to the server as events, with the same ids for every repeat of the same file."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from waymark.importing.errors import GaveUp, ImportStopped, ServerRefused, Unreadable
from waymark.importing.mapping import HistoryRecord, LateLine, RecordMapper, SkippedLine
from waymark.importing.poster import Posted, Progress, Target, post
from waymark.importing.reader import HistoryFile, Line, open_history

__all__ = [
    "GaveUp",
    "HistoryFile",
    "HistoryRecord",
    "ImportResult",
    "ImportStopped",
    "LateLine",
    "Line",
    "Posted",
    "Progress",
    "RecordMapper",
    "ServerRefused",
    "SkippedLine",
    "Target",
    "Unreadable",
    "import_file",
    "open_history",
    "post",
]


class ImportResult(NamedTuple):
    """What became of the file. `skipped` has the first 1,000 lines left out, `skipped_count` counts all."""

    import_id: str
    lines: int
    accounts: int
    posted: Posted
    skipped: tuple[SkippedLine, ...]
    skipped_count: int
    late: LateLine | None
    live: bool


async def import_file(
    path: Path | str,
    target: Target,
    now: datetime,
    live: bool | None = None,
    on_progress: Callable[[Progress, int], None] = lambda _progress, _size: None,
) -> ImportResult:
    """Import a file, or standard input for `-`: what `waymark import` calls. `on_progress` also gets the file's size."""
    with open_history(path) as file:
        mapper = RecordMapper(file.import_id, now, live)
        records = mapper.records(file.lines())
        posted = await post(records, target, file.import_id, lambda done: on_progress(done, file.size))
    return ImportResult(
        import_id=file.import_id,
        lines=mapper.lines,
        accounts=len(mapper.accounts),
        posted=posted,
        skipped=tuple(mapper.skipped),
        skipped_count=mapper.skipped_count,
        late=mapper.late,
        live=mapper.live,
    )
