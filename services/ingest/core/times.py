"""When did it happen? The sender's time, corrected by the sender's clock error, never in the future."""

from datetime import UTC, datetime, timedelta

from services.ingest.core.shapes import Id
from shared.failures import Parked

_AHEAD = timedelta(minutes=5)
_SANE_SKEW = timedelta(days=2)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2200, 1, 1, tzinfo=UTC)
_MILLISECONDS = 1e11


def happened(sent: Id, clock: datetime | None, received: datetime) -> datetime:
    """The moment of a live event; `clock` is what the sender's clock showed when it sent."""
    if sent is None:
        return received
    at = moment(sent)
    if clock is not None and abs(skew := received - clock) < _SANE_SKEW:
        at += skew
    return received if at > received + _AHEAD else at


def moment(value: Id) -> datetime:
    """RFC 3339, ISO without a zone (UTC), or seconds or milliseconds since 1970. Raises Parked for anything else."""
    try:
        at = _read(value)
    except (ValueError, OverflowError, OSError, TypeError):
        at = None
    if at is None or not _FIRST <= at < _LAST:
        raise Parked(f"{ascii(value)[:42]} is not a time between 1970 and 2200", "bad_time")
    return at


def moment_or_none(value: Id) -> datetime | None:
    """For a time that only corrects another: a bad one corrects nothing."""
    try:
        return None if value is None else moment(value)
    except Parked:
        return None


def _read(value: Id) -> datetime:
    if isinstance(value, str):
        at = datetime.fromisoformat(value)
        if at.tzinfo is UTC:
            return at
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    number = float(value or 0)
    return datetime.fromtimestamp(number / 1000 if number > _MILLISECONDS else number, UTC)
