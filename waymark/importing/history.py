"""What does a history file say? A stream of records to post, closed by a marker for each account.

What cannot be used is noted with its line number and left out; nothing stops the reading but a damaged file.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from shared.contracts.usage import HISTORY_ENDED
from shared.ids import derived
from waymark.importing.identity import Identity
from waymark.importing.shapes import BadLineError, Body, account, body, checked, moment
from waymark.importing.source import MAX_LINE, Line

LIVE_WITHIN = timedelta(days=7)
"""A file whose last event is younger belongs to a product that is in use now."""
AHEAD = timedelta(days=1)
"""What a clock may be wrong by: a single event of the year 2099 would carry every account there."""
KEPT_BAD_LINES = 1000
"""So that a file of another kind does not fill the memory with complaints; all are counted."""


class Record(NamedTuple):
    """One body to post, the account it belongs to, and how far into the file it took us."""

    body: Body
    account: str
    read: int


class BadLine(NamedTuple):
    """A line that was left out."""

    number: int
    reason: str


class Late(NamedTuple):
    """The first line that came after a later one of its account."""

    number: int
    account: str

    def __str__(self) -> str:
        return (
            f"line {self.number}: account {self.account} has an earlier time than in a line before it; "
            "stages are computed as corrections there. Sort the file by time to avoid this"
        )


class History:
    """Reads once; what it found stands in its attributes, complete when the reading has ended."""

    def __init__(self, import_id: str, now: datetime, live: bool | None = None) -> None:
        self.import_id = import_id
        self.lines = 0
        self.bad: list[BadLine] = []
        self.bad_count = 0
        self.late: Late | None = None
        self.accounts: dict[str, None] = {}
        self.last: datetime | None = None
        self._now = now
        self._live = live
        self._identity = Identity()
        self._groups: dict[str, str] = {}

    @property
    def live(self) -> bool:
        """Does the wall clock take over where the file ends?"""
        if self._live is not None:
            return self._live
        return self.last is not None and self._now - self.last < LIVE_WITHIN

    def records(self, lines: Iterable[Line]) -> Iterator[Record]:
        """Every usable line's record, then the markers."""
        read = 0
        for line in lines:
            self.lines += 1
            read = line.read
            try:
                yield self._record(line)
            except BadLineError as error:
                self._leave_out(line.number, str(error))
        yield from self._markers(read)

    def told(self, bodies: Iterable[dict[str, Any]]) -> Iterator[Record]:
        """The same for bodies that were made rather than read: the demo."""
        for self.lines, made in enumerate(bodies, 1):
            yield self._placed(checked(made), self.lines, msgspec.json.encode(made), 0)
        yield from self._markers(0)

    def _record(self, line: Line) -> Record:
        if line.content is None:
            raise BadLineError(f"longer than {MAX_LINE} bytes")
        return self._placed(body(line.content), line.number, line.content, line.read)

    def _placed(self, record: Body, number: int, content: bytes, read: int) -> Record:
        at, whose = moment(record), account(record, self._groups)
        if at > self._now + AHEAD:
            raise BadLineError(f"dated in the future: {at.isoformat()}")
        owner = whose or str(record.get("userId") or record.get("anonymousId") or "")
        late = self._identity.comes_late(owner, at)
        if not record.get("messageId"):
            record["messageId"] = self._identity.name(owner, content, late=late)
        if late and self.late is None:
            self.late = Late(number, owner)
        if whose:
            self.accounts[whose] = None
        self.last = max(self.last or at, at)
        return Record(record, owner, read)

    def _leave_out(self, number: int, reason: str) -> None:
        self.bad_count += 1
        if len(self.bad) < KEPT_BAD_LINES:
            self.bad.append(BadLine(number, reason))

    def _markers(self, read: int) -> Iterator[Record]:
        if self.last is None:
            return
        at, live = self.last.isoformat(), self.live
        for whose in self.accounts:
            marker = {
                "messageId": derived(self.import_id, whose, at),
                "type": "track",
                "event": HISTORY_ENDED,
                "timestamp": at,
                "context": {"groupId": whose},
                "properties": {"live": live},
            }
            yield Record(marker, whose, read)
