"""When may mail go out on this person's clock? Nights and weekends wait for the next allowed minute.

A wall-clock time that the change to summer time skips becomes the next minute that exists; one that comes twice, its
first.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.notify.core.playbook import Quiet

_MINUTE = timedelta(minutes=1)
_SATURDAY = 5


def allowed_from(at: datetime, timezone: str | None, quiet: Quiet, fallback: str) -> datetime:
    """The moment itself where it is allowed, else the next that is, in UTC."""
    zone = _zone(timezone) or _zone(fallback) or ZoneInfo("UTC")
    local = at.astimezone(zone).replace(tzinfo=None)
    if not _hushed(local, quiet):
        return at
    opening = time.min if quiet.begin == quiet.end else quiet.end
    mornings = (datetime.combine(local.date() + timedelta(days=ahead), opening) for ahead in range(8))
    wall = next(morning for morning in mornings if morning > local and not _resting(morning.date(), quiet))
    return max(at, _instant(wall, zone))


def _hushed(local: datetime, quiet: Quiet) -> bool:
    night = quiet.begin != quiet.end and not quiet.end <= local.time() < quiet.begin
    return night or _resting(local.date(), quiet)


def _resting(day: date, quiet: Quiet) -> bool:
    return quiet.weekends and day.weekday() >= _SATURDAY


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    while not _exists(wall, zone):
        wall += _MINUTE
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _exists(wall: datetime, zone: ZoneInfo) -> bool:
    return wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def time_of_day(text: str) -> time | None:
    """`08:00` as a time of day; None where it is not one."""
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007  a time of day has no zone
    except ValueError:
        return None
