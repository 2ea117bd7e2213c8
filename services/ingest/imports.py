"""Imports: an import's events are known by their positions, for ever.

The dedupe window knows what came within a week. What is older than it is known by marks: within a stream of an import, positions
are sent in order, each batch once the one before is safe in the log. So whatever lies at or below a position that was seen before
the window began has been seen, and is dropped. Of what came since, the window itself knows each: a batch that was only half written
and is sent again is whole then.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Row, select

from services.ingest.core.canonical import CanonicalEvent
from services.ingest.store import week_of
from services.ingest.tables import import_mark
from shared.db.protocol import Read, Tx

_c = import_mark.c


class Stream(NamedTuple):
    """A part of an import whose events are sent in order."""

    source: str
    import_id: str
    stream: str


class Mark(NamedTuple):
    """The highest position of a stream seen in a week, in the week before it, and earlier."""

    week: int
    this_week: int = 0
    week_before: int = 0
    earlier: int = 0

    def at(self, week: int) -> "Mark":
        """The same, seen from a later week."""
        if week <= self.week:
            return self
        if week == self.week + 1:
            return Mark(week, 0, self.this_week, max(self.earlier, self.week_before))
        return Mark(week, 0, 0, max(self.earlier, self.week_before, self.this_week))


async def drop_known(
    tx: Tx, partition: int, events: Sequence[CanonicalEvent], now: datetime
) -> Sequence[CanonicalEvent]:
    """The events without those that an import repeats after the dedupe window; notes how far imports have come."""
    highest = _highest(events)
    if not highest:
        return events
    week = week_of(now)
    marks, own = await _known_positions(tx, highest, partition, week)
    await _save(tx, partition, {stream: own.get(stream, Mark(week)) for stream in highest}, highest)
    return [event for event in events if (of := _stream_of(event)) is None or _position(event) > marks.get(of, 0)]


def _stream_of(event: CanonicalEvent) -> Stream | None:
    if event.place is None or event.history is None:
        return None
    return Stream(event.source, event.history, event.place.stream)


def _position(event: CanonicalEvent) -> int:
    return event.place.position if event.place is not None else 0


def _highest(events: Iterable[CanonicalEvent]) -> dict[Stream, int]:
    found: dict[Stream, int] = {}
    for event in events:
        if event.place is not None and (stream := _stream_of(event)) is not None:
            found[stream] = max(found.get(stream, 0), event.place.position)
    return found


async def _known_positions(
    read: Read, streams: Mapping[Stream, int], partition: int, week: int
) -> tuple[dict[Stream, int], dict[Stream, Mark]]:
    """Up to where each stream is known from before the window, and its marks in this partition."""
    rows: list[Row[tuple[object, ...]]] = await read.among(
        select(import_mark), _c.import_id, {stream.import_id for stream in streams}
    )
    known: dict[Stream, int] = {}
    own: dict[Stream, Mark] = {}
    for row in rows:
        stream = Stream(row.source, row.import_id, row.stream)
        mark = Mark(row.week, row.this_week, row.week_before, row.earlier).at(week)
        if stream in streams:
            # of whatever partition: its events may have been in another when there were fewer
            known[stream] = max(known.get(stream, 0), mark.earlier)
            if row.partition == partition:
                own[stream] = mark
    return known, own


async def _save(tx: Tx, partition: int, marks: Mapping[Stream, Mark], highest: Mapping[Stream, int]) -> None:
    rows = [
        {
            **stream._asdict(),
            "partition": partition,
            **mark._replace(this_week=max(mark.this_week, highest[stream]))._asdict(),
        }
        for stream, mark in sorted(marks.items())
    ]
    await tx.upsert(import_mark, rows)
