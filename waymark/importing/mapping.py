"""Record mapping: a line of a history file becomes the body that a tracking SDK would post, with a derived message id.

A line has either of two shapes: canonical (an `account_id` and no `type`) or Segment's. One that cannot be used is noted
with its number and skipped; nothing stops the reading but a damaged file. A marker for each account closes the stream.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple, get_args

import msgspec

from shared.contracts.usage import HISTORY_ENDED, EventType
from shared.ids import derived
from waymark.importing.order import moment
from waymark.importing.reader import MAX_LINE, Line

LIVE_WITHIN = timedelta(days=7)
"""A file whose last event is younger belongs to a product that is in use now."""
MAX_AHEAD = timedelta(days=1)
"""The error a clock may have: a single event of the year 2099 would carry every account there."""
MAX_SKIPPED = 1000
"""Skipped lines that are listed, so that a file of another kind does not fill the memory; all are counted."""

Body = dict[str, Any]
_TYPES = frozenset(get_args(EventType))
_decode = msgspec.json.Decoder(Body).decode


class InvalidLineError(Exception):
    """The line cannot be imported; the text says why."""


class HistoryRecord(NamedTuple):
    """One body to post, its account (or user), and the file's bytes read so far.

    `position` is its place in the import, counted from 1 in the order of sending, the same for every repeat of the file; 0: it
    has none. `series` tells the places of markers apart, which follow what the file ends with.
    """

    body: Body
    owner_id: str
    bytes_read: int
    position: int = 0
    series: str = ""


class SkippedLine(NamedTuple):
    """A line that was left out."""

    number: int
    reason: str


class RecordMapper:
    """Maps the lines of one import, once, in the order of their times; its attributes are complete when the reading has ended."""

    def __init__(self, import_id: str, now: datetime, live: bool | None = None) -> None:
        self.import_id = import_id
        self.lines = 0
        self.skipped: list[SkippedLine] = []
        self.skipped_count = 0
        self.accounts: dict[str, None] = {}
        self.last_at: datetime | None = None
        self._now = now
        self._live = live
        self._message_ids = MessageIds()
        self._groups: dict[str, str] = {}

    @property
    def live(self) -> bool:
        """Whether the wall clock takes over where the file ends."""
        if self._live is not None:
            return self._live
        return self.last_at is not None and self._now - self.last_at < LIVE_WITHIN

    def records(self, lines: Iterable[Line]) -> Iterator[HistoryRecord]:
        """Every usable line's record, then the markers.

        Lines of the future, which are left out today and not in a later repeat, come last: they move no other's position.
        """
        bytes_read = position = 0
        for line in lines:
            self.lines += 1
            bytes_read = line.bytes_read
            try:
                record = self._record(line)
            except InvalidLineError as error:
                self._skip(line.number, str(error))
            else:
                position += 1
                yield record._replace(position=position)
        series = self.last_at.isoformat() if self.last_at is not None else ""
        for number, marker in enumerate(self._markers(bytes_read), 1):
            yield marker._replace(position=number, series=series)

    def from_bodies(self, bodies: Iterable[Body]) -> Iterator[HistoryRecord]:
        """The same for bodies that were generated rather than read: the demo."""
        for self.lines, generated in enumerate(bodies, 1):
            yield self._identified(checked(generated), msgspec.json.encode(generated), 0)
        yield from self._markers(0)

    def _record(self, line: Line) -> HistoryRecord:
        if line.content is None:
            raise InvalidLineError(f"longer than {MAX_LINE} bytes")
        return self._identified(body_of(line.content), line.content, line.bytes_read)

    def _identified(self, body: Body, content: bytes, bytes_read: int) -> HistoryRecord:
        at, account_id = time_of(body), account_of(body, self._groups)
        if at > self._now + MAX_AHEAD:
            raise InvalidLineError(f"dated in the future: {at.isoformat()}")
        owner_id = account_id or str(body.get("userId") or body.get("anonymousId") or "")
        if not body.get("messageId"):
            body["messageId"] = self._message_ids.derive(owner_id, at, content)
        if account_id:
            self.accounts[account_id] = None
        self.last_at = max(self.last_at or at, at)
        return HistoryRecord(body, owner_id, bytes_read)

    def _skip(self, number: int, reason: str) -> None:
        self.skipped_count += 1
        if len(self.skipped) < MAX_SKIPPED:
            self.skipped.append(SkippedLine(number, reason))

    def _markers(self, bytes_read: int) -> Iterator[HistoryRecord]:
        if self.last_at is None:
            return
        at, live = self.last_at.isoformat(), self.live
        ended = max(self.last_at, self._now).isoformat() if live else at  # what falls due in between is history, too
        for account_id in self.accounts:
            marker = {
                "messageId": derived(self.import_id, account_id, at),
                "type": "track",
                "event": HISTORY_ENDED,
                "timestamp": ended,
                "context": {"groupId": account_id},
                "properties": {"live": live},
            }
            yield HistoryRecord(marker, account_id, bytes_read)


class MessageIds:
    """Message ids of lines, in the order of their times: from the content, and the number of equal lines before it.

    Equal lines stay separate events, and a second reading gives every line its id again, in whatever order the file has it.
    Equal lines have equal times, so only the lines of an owner's latest time are remembered: about 400 bytes an owner.
    """

    def __init__(self) -> None:
        self._latest: dict[str, tuple[datetime, dict[bytes, int]]] = {}

    def derive(self, owner_id: str, at: datetime, content: bytes) -> str:
        """The line's id."""
        newest, seen = self._latest.get(owner_id, (None, {}))
        if at != newest:
            seen = {}
            self._latest[owner_id] = at, seen
        digest = hashlib.blake2b(content.strip(), digest_size=16).digest()
        seen[digest] = seen.get(digest, -1) + 1
        return derived("line", digest.hex(), seen[digest])


def body_of(content: bytes) -> Body:
    """The line as the body of a Segment call. Raises InvalidLineError."""
    try:
        line = _decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidLineError(f"not a JSON object: {error}") from None
    return checked(_from_canonical(line) if "account_id" in line and "type" not in line else line)


def checked(body: Body) -> Body:
    """The body, if the server can use it: a known type, a name, a time."""
    if str(body.get("type")) not in _TYPES:
        raise InvalidLineError(f"type is {body.get('type')!r}; known are {', '.join(sorted(_TYPES))}")
    if body["type"] == "track" and not (isinstance(body.get("event"), str) and body["event"]):
        raise InvalidLineError("a track record needs an event name")
    time_of(body)
    return body


def time_of(body: Body) -> datetime:
    """The event's time, in UTC; a time without a zone is UTC."""
    text = body.get("timestamp") or body.get("originalTimestamp")
    if not isinstance(text, str):
        raise InvalidLineError("no timestamp: history needs the time at which each thing happened")
    at = moment(text)
    if at is None:
        raise InvalidLineError(f"timestamp {text!r} is not ISO 8601")
    return at


def account_of(body: Body, latest_groups: dict[str, str]) -> str | None:
    """The event's account, as the server resolves it; `latest_groups` remembers each user's last group call."""
    account_id = _group_id(body.get("context")) or _group_id(body) or _posthog_company(body.get("properties"))
    user_id = body.get("userId")
    if body["type"] == "group" and user_id and account_id:
        latest_groups[str(user_id)] = account_id
    return account_id or latest_groups.get(str(user_id))


def _from_canonical(line: Body) -> Body:
    properties = dict(_object(line, "properties"))
    if line.get("subscription_id") is not None:
        properties["subscription_id"] = line["subscription_id"]
    optional = {"messageId": line.get("messageId"), "userId": line.get("user_id")}
    return {
        "type": "track",
        "event": line.get("event"),
        "timestamp": line.get("timestamp"),
        "context": {"groupId": str(line["account_id"])},
        "properties": properties,
        **{name: value for name, value in optional.items() if value is not None},
    }


def _object(line: Body, name: str) -> Body:
    value = line.get(name) or {}
    if not isinstance(value, dict):
        raise InvalidLineError(f"{name} is not an object")
    return value


def _group_id(holder: Any) -> str | None:
    value = holder.get("groupId") if isinstance(holder, dict) else None
    return str(value) if isinstance(value, str | int) and value != "" else None


def _posthog_company(properties: Any) -> str | None:
    groups = properties.get("$groups") if isinstance(properties, dict) else None
    company = groups.get("company") if isinstance(groups, dict) else None
    return str(company) if company else None
