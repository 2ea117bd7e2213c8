"""Contact budget: caps over rolling windows, quiet hours, the pause, ceilings; `config/budget.yaml` as it is written and checked.

A cap bounds what one person or account gets. A ceiling bounds what all plays together may send in a rolling time,
transactional mail included: a circuit breaker, far above an honest day. Where it is reached, something is wrong: a flood from
outside, a play that matches everybody, an import under the wrong mark. What it holds back waits with a reason and a time.

A wall-clock time that the change to summer time skips becomes the next minute that exists; one that comes twice, its
first.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import ClassVar, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from services.notify.core.conditions import LifecycleNames, ReportMistake, conditions
from services.notify.core.state import TRANSACTIONAL, BudgetEntry
from shared.contracts.outreach import OutreachClass
from shared.definitions import At, Loaded, Mistake
from shared.durations import Duration, in_words
from shared.expr import Expr

CeilingName = Literal["sends", "new_addresses"]
AfterTrip = Literal["wait", "stop"]
_PIECES = 12
_SHORTEST_PIECE = timedelta(minutes=1)
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_SATURDAY = 5


class CeilingFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most so many in a rolling time. The window moves on in twelfths of its length, of a minute at least."""

    max: int
    """At most so many."""
    within: Duration = Duration(hours=1)
    """The length of the rolling window."""
    then: AfterTrip = "wait"
    """Where it is reached: `wait` sends on as the window moves, `stop` sends nothing until somebody releases it."""


class CeilingsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all plays together may send to customers, transactional mail included: far above an honest day."""

    sends: CeilingFile = CeilingFile(max=2000)
    """Messages to customers, on every channel."""
    new_addresses: CeilingFile = CeilingFile(max=500)
    """Mails to addresses that were never mailed before."""


class Ceiling(NamedTuple):
    """A ceiling, checked."""

    name: CeilingName
    max: int
    within: timedelta
    stops: bool

    @property
    def words(self) -> str:
        """As a held delivery's detail and readyz have it."""
        return f"{self.name}: {self.max} in {in_words(self.within)}"

    @property
    def piece(self) -> timedelta:
        """The length of the pieces of time that sends are counted in."""
        return max(self.within / _PIECES, _SHORTEST_PIECE)

    def bucket(self, at: datetime) -> datetime:
        """The beginning of the piece of time that this moment is in."""
        return at - (at - datetime.min.replace(tzinfo=at.tzinfo)) % self.piece

    def counting_from(self, at: datetime) -> datetime:
        """The earliest piece that still counts at this moment."""
        return self.bucket(at - self.within)

    def room_from(self, counts: Mapping[datetime, int], at: datetime) -> datetime | None:
        """When there is room for one more; None: now. `counts` are sends by the piece of time that they fell into."""
        since = self.counting_from(at)
        counted = sorted((bucket, count) for bucket, count in counts.items() if bucket >= since)
        total = sum(count for _, count in counted)
        until = None
        for bucket, count in counted:
            if total < self.max:
                break
            total -= count
            until = bucket + self.piece + self.within
        return until


class CapFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most so many contacts in a rolling time, for each person or for the whole account.

    Counts every class but transactional, or only the `classes` and `topics` named.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {"most": "max"}

    name: str
    """The name that a skipped delivery gives as its detail."""
    max: int
    """At most so many contacts."""
    within: Duration
    """The length of the rolling window."""
    account: bool = False
    """true: counted for the whole account; else for each person."""
    classes: list[OutreachClass] = []
    """Only messages of these classes count."""
    topics: list[str] = []
    """Only messages of these topics count."""


class QuietFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When not to write, on the person's own clock. `from` after `until`: the night; both alike: no night."""

    from_: str = msgspec.field(name="from", default="20:00")
    """When the night begins, as `20:00`."""
    until: str = "08:00"
    """When it ends."""
    weekends: bool = True
    """true: Saturdays and Sundays are quiet too."""


class PauseFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """While `when` holds, messages of these classes wait."""

    when: str
    """The condition, over the account."""
    classes: list[OutreachClass]
    """The classes that wait."""


class UnhappyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is unhappy: while one of `when` holds and none of `unless`, messages of these classes are left out."""

    when: list[str]
    """Conditions over the account; any of them is enough, one that is unknown is not."""
    classes: list[OutreachClass]
    """The classes that are left out: praise and offers."""
    unless: list[str] = []
    """Conditions that make an exception."""


class BudgetFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. `holdout_salt` draws the held-out accounts: change it and others are held out."""

    caps: list[CapFile]
    """Every cap holds."""
    pause: PauseFile
    """When nobody is asked for something."""
    unhappy: UnhappyFile | None = None
    """Who gets help, and neither praise nor offers; none: nobody is left out."""
    quiet: QuietFile | None = None
    """Quiet hours; none: mail leaves at any time."""
    timezone: str = "UTC"
    """For people whose time zone is unknown."""
    transactional: int = 10
    """At most so many transactional messages to one person in a day, over all accounts: no flood of failed payments."""
    ceilings: CeilingsFile = CeilingsFile()
    """What all plays together may send: a circuit breaker."""
    same_cause: Duration = Duration(days=14)
    """How long after a play did something no other play of the same cause begins."""
    holdout_salt: str = "waymark"
    """Draws the accounts that a `holdout` leaves out: change it and others are left out."""
    open_task: Duration = Duration(days=30)
    """How long a task that nobody closed keeps its play from opening another."""


class Cap(NamedTuple):
    """A cap, checked."""

    name: str
    max: int
    within: timedelta
    account: bool
    classes: frozenset[str]
    topics: frozenset[str]

    def counts(self, class_: str, topic: str) -> bool:
        """Whether a contact of this class and topic falls under it."""
        everything = not self.classes and not self.topics
        return everything or class_ in self.classes or topic in self.topics


class QuietHours(NamedTuple):
    """Quiet hours, checked: from `begin` to `end` on the next day, and perhaps whole weekends."""

    begin: time
    end: time
    weekends: bool


class Unhappy(NamedTuple):
    """Who is unhappy, checked."""

    when: tuple[Expr, ...]
    unless: tuple[Expr, ...]
    classes: frozenset[str]


class Budget(NamedTuple):
    """The contact budget, checked."""

    caps: tuple[Cap, ...]
    pause: Expr
    paused: frozenset[str]
    quiet: QuietHours | None
    timezone: str
    holdout_salt: str
    open_task: timedelta
    transactional: int = 10
    ceilings: tuple[Ceiling, ...] = ()
    unhappy: Unhappy | None = None
    same_cause: timedelta = timedelta(days=14)


class ExceededCap(NamedTuple):
    """The cap that has room last, and when."""

    cap: str
    until: datetime


def exceeded_cap(
    entries: Iterable[BudgetEntry], contact: BudgetEntry, budget: Budget, spent: Iterable[BudgetEntry] = ()
) -> ExceededCap | None:
    """Why this contact cannot be made at its time; None when there is room under every cap that counts it.

    `entries` are the contacts of its account, `spent` those of the person in any account.
    """
    others = [past for past in entries if past.delivery != contact.delivery]
    own = {past.delivery: past for past in others if past.user == contact.user}
    theirs = list((own | {past.delivery: past for past in spent if past.delivery != contact.delivery}).values())
    if contact.class_ == TRANSACTIONAL:
        return _exceeded(_transactional(budget), [past for past in theirs if past.class_ == TRANSACTIONAL], contact)
    counted = {True: others, False: [past for past in theirs if past.class_ != TRANSACTIONAL]}
    caps = [cap for cap in budget.caps if cap.counts(contact.class_, contact.topic)]
    exceeded = (_exceeded(cap, counted[cap.account], contact) for cap in caps)
    return max((found for found in exceeded if found), key=lambda found: (found.until, found.cap), default=None)


def still_counting(entries: Iterable[BudgetEntry], at: datetime, budget: Budget) -> list[BudgetEntry]:
    """Those young enough to count under any cap."""
    longest = max((_DAY, *(cap.within for cap in budget.caps)))
    return [past for past in entries if past.at > at - longest]


def _exceeded(cap: Cap, entries: list[BudgetEntry], contact: BudgetEntry) -> ExceededCap | None:
    since = contact.at - cap.within
    times = sorted(past.at for past in entries if past.at > since and cap.counts(past.class_, past.topic))
    return ExceededCap(cap.name, times[-cap.max] + cap.within) if len(times) >= cap.max else None


def _transactional(budget: Budget) -> Cap:
    return Cap(TRANSACTIONAL, budget.transactional, _DAY, account=False, classes=frozenset(), topics=frozenset())


def allowed_from(at: datetime, timezone: str | None, quiet: QuietHours, fallback: str) -> datetime:
    """The moment itself where it is allowed, else the next that is, in UTC."""
    zone = _zone(timezone) or _zone(fallback) or ZoneInfo("UTC")
    local = at.astimezone(zone).replace(tzinfo=None)
    if not _is_quiet(local, quiet):
        return at
    opening = time.min if quiet.begin == quiet.end else quiet.end
    mornings = (datetime.combine(local.date() + timedelta(days=ahead), opening) for ahead in range(8))
    wall = next(morning for morning in mornings if morning > local and not _is_weekend(morning.date(), quiet))
    return max(at, _instant(wall, zone))


def _is_quiet(local: datetime, quiet: QuietHours) -> bool:
    night = quiet.begin != quiet.end and not quiet.end <= local.time() < quiet.begin
    return night or _is_weekend(local.date(), quiet)


def _is_weekend(day: date, quiet: QuietHours) -> bool:
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


def checked_budget(loaded: Loaded[BudgetFile], names: LifecycleNames | None) -> tuple[Budget | None, list[Mistake]]:
    """The budget, or the mistakes in its file."""
    mistakes: list[Mistake] = []

    def report(at: At, problem: str, meant: str = "") -> None:
        mistakes.append(loaded.mistake(at, problem, meant))

    budget = _budget(loaded.value, report, names)
    return (None if mistakes else budget), mistakes


def _budget(file: BudgetFile, report: ReportMistake, names: LifecycleNames | None) -> Budget | None:
    if _zone(file.timezone) is None:
        report(("timezone",), f"no time zone '{file.timezone}': write one such as Europe/Berlin")
    if file.transactional < 1:
        report(("transactional",), "at least 1: what concerns somebody's account must reach them")
    pauses = conditions([file.pause.when], ("pause", "when"), report, names)
    quiet = _quiet_hours(file.quiet, report) if file.quiet else None
    caps = tuple(_cap(cap, ("caps", index), report) for index, cap in enumerate(file.caps))
    if not pauses:
        return None
    paused = frozenset[str](file.pause.classes)
    return Budget(
        caps,
        pauses[0],
        paused,
        quiet,
        file.timezone,
        file.holdout_salt,
        file.open_task,
        file.transactional,
        _ceilings(file.ceilings, report),
        _unhappy(file.unhappy, report, names) if file.unhappy else None,
        file.same_cause,
    )


def _unhappy(file: UnhappyFile, report: ReportMistake, names: LifecycleNames | None) -> Unhappy:
    when = conditions(file.when, ("unhappy", "when"), report, names)
    unless = conditions(file.unless, ("unhappy", "unless"), report, names)
    return Unhappy(when, unless, frozenset(file.classes))


def _cap(cap: CapFile, at: At, report: ReportMistake) -> Cap:
    if cap.max < 1:
        report((*at, "max"), "at least 1: to send nothing at all, remove the plays")
    return Cap(cap.name, cap.max, cap.within, cap.account, frozenset(cap.classes), frozenset(cap.topics))


def _ceilings(file: CeilingsFile, report: ReportMistake) -> tuple[Ceiling, ...]:
    return (
        _ceiling("sends", file.sends, ("ceilings", "sends"), report),
        _ceiling("new_addresses", file.new_addresses, ("ceilings", "new_addresses"), report),
    )


def _ceiling(name: CeilingName, file: CeilingFile, at: At, report: ReportMistake) -> Ceiling:
    if file.max < 1:
        report((*at, "max"), "at least 1: to send nothing at all, set the mode to preview")
    return Ceiling(name, file.max, file.within, file.then == "stop")


def _quiet_hours(quiet: QuietFile, report: ReportMistake) -> QuietHours:
    begin, end = _time_of_day(quiet.from_), _time_of_day(quiet.until)
    if begin is None or end is None or begin < end:
        report(("quiet",), "'from' and 'until' are times of day such as 20:00 and 08:00, over midnight")
    return QuietHours(begin or time.min, end or time.min, quiet.weekends)


def _time_of_day(text: str) -> time | None:
    """`08:00` as a time of day; None where it is not one."""
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007  a time of day has no zone
    except ValueError:
        return None
