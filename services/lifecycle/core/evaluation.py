"""Evaluation: one account's metrics while an event or a midnight is decided, the changes made to it, and the decisions.

What rules read is changed through `Evaluation.write` only: it records what moved, which is what `run_rules` asks the rules
of, and drops the metrics that were read before. The functions that change an account are handed to it, with the store they
write, and called by nobody else; tests/core/lifecycle/test_writing.py holds the code to that. Those for decisions and time
stand at the end of this file, those for events belong to the metric kinds (`metrics/`).
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec

from services.lifecycle.core.activity import Instant, remove
from services.lifecycle.core.state import Account, DecisionMark, Departure, add_mark
from shared.contracts.evidence import Clause, EventRef, Evidence, Value
from shared.contracts.lifecycle import (
    Band,
    FlagChanged,
    HealthChanged,
    LifecycleMessage,
    MilestoneReached,
    SignalRaised,
    Snapshot,
    StageChanged,
)
from shared.ids import derived

C = TypeVar("C")
ReadMetric = Callable[["Evaluation"], Value]
Change = Callable[[Account, C], bool]
"""Changes an account, given the cause. False when nothing that rules read can have changed."""

DAY = timedelta(days=1)
EVERYTHING = -1
"""All bits: every store may have moved, or may be known."""
TIME = "time"
"""The store that midnight moves."""
STAGE, FLAGS, MILESTONES, HEALTH, FIRST_SEEN = "stage", "flags", "milestones", "health", "first_seen"
"""The stores that decisions write, and the time of the account's earliest event."""
_MAX_MOVING = 20_000
MAX_DEPARTED = 2000
"""People of whom an account remembers when they were removed; the longest gone are forgotten first."""
USERS = "users:"
"""How the names of stores of users begin; the event class follows."""


class MetricIndex(NamedTuple):
    """What an evaluation needs of the definition: how each metric is read, and the bit of each store.

    A store is a part of the account's state that rules read through metrics. `moved_by` has for each metric the bits of all
    stores that can make it another value, `in_snapshot` the metrics that messages carry; `version` is the definition's, and
    `cached` what `moving` found.
    """

    version: str
    reads: dict[str, ReadMetric]
    bits: dict[str, int]
    moved_by: dict[str, int]
    in_snapshot: tuple[str, ...]
    cached: dict[int, tuple[str, ...]]

    def moving(self, moved: int) -> tuple[str, ...]:
        """The metrics that may be another value when these stores moved (bits)."""
        found = self.cached.get(moved)
        return self._find_moving(moved) if found is None else found

    def _find_moving(self, moved: int) -> tuple[str, ...]:
        if len(self.cached) >= _MAX_MOVING:
            self.cached.clear()
        found = self.cached[moved] = tuple(name for name, bits in self.moved_by.items() if bits & moved)
        return found


class UnreadableValue(NamedTuple):
    """A value that could not be read as what it stands for. `event` is the event class, `$group` or `identify`."""

    event: str
    property: str
    value: object


class UntrustedClaim(NamedTuple):
    """Something a browser said and may not say. `event` is the event class, `$group`, `identify`, or the event's own name.

    `property` is the trait, the field of the contact, or what was claimed of the event itself; empty for a whole event.
    """

    event: str
    property: str
    value: object


def note_unreadable(noted: list[UnreadableValue], event_class: str, name: str, value: object) -> None:
    """Note the value once, however many metrics read it."""
    unreadable = UnreadableValue(event_class, name, value)
    if unreadable not in noted:
        noted.append(unreadable)


class Occurrence(msgspec.Struct, gc=False):
    """One event as one of its classes sees it. `day` is the proleptic ordinal of `at`, `unreadable` the evaluation's, `id` the event's.

    `about_mail`: its name is about mail to somebody.
    """

    at: datetime
    day: int
    user: str
    feature: str
    properties: dict[str, object]
    unreadable: list[UnreadableValue]
    trusted: bool = True
    id: str = ""
    about_mail: bool = False


class Evaluation(dict[str, "Value"]):
    """The account's metrics now, each read when first asked for, and what is decided on them.

    It is a dict because most of an event's cost is looking up values: one that is there costs no call, and it stays until
    something moves it. `moved` are the bits of the stores that were written since the rules were last asked; `imported`: an
    import tells an account that lives of its past. `unreadable` and `claims` get the values that count nowhere.
    """

    __slots__ = ("account", "claims", "day", "decided_at", "decisions", "imported", "metrics", "moved", "unreadable")

    def __init__(
        self,
        account: Account,
        metrics: MetricIndex,
        decided_at: datetime,
        unreadable: list[UnreadableValue] | None = None,
        claims: list[UntrustedClaim] | None = None,
    ) -> None:
        self.account = account
        self.metrics = metrics
        self.decided_at = decided_at
        self.day = account.clock.toordinal()
        self.moved = 0
        self.imported = False
        self.decisions: list[LifecycleMessage] = []
        self.unreadable = [] if unreadable is None else unreadable
        self.claims = [] if claims is None else claims

    def __missing__(self, name: str) -> Value:
        value = self[name] = self.metrics.reads[name](self)
        return value

    def write(self, changes: Iterable[tuple[int, Change[C]]], cause: C) -> None:
        """Change the account: each change comes with the bits of the stores it writes, and is told the cause."""
        account, moved = self.account, 0
        for bits, change in changes:
            if change(account, cause):
                moved |= bits
        if moved:
            self.moved |= moved
            if self:
                for name in self.metrics.moving(moved):
                    self.pop(name, None)

    def write_one(self, store: str, change: Change[C], cause: C) -> None:
        """One change of one store."""
        self.write(((self.metrics.bits[store], change),), cause)

    def move_clock(self, at: datetime) -> None:
        """The account's clock stands at `at` from here on; what was read on another day must be read again."""
        self.account.clock, day = at, at.toordinal()
        if day != self.day:
            self.day = day
            self.clear()

    def everything_moved(self) -> None:
        """Every rule must be asked: the account begins, or wakes up."""
        self.moved = EVERYTHING
        self.clear()

    def midnight(self) -> datetime:
        """The beginning of the day: holds, dwells and cooldowns are over when they are over by then."""
        return midnight(self.account.clock)

    def record_decision(self, kind: type[LifecycleMessage], **fields: Any) -> None:
        """The next message of the account."""
        account = self.account
        account.seq += 1
        message = kind(
            id=derived("lifecycle", account.id, account.seq),
            account=account.id,
            seq=account.seq,
            at=account.clock,
            decided_at=self.decided_at,
            history=account.replaying,
            imported=self.imported,
            **fields,
        )
        self.decisions.append(message)
        if "evidence" in fields and (mark := mark_of(message)) is not None:
            add_mark(account, mark)

    def evidence(
        self,
        rule: str,
        reason: str,
        events: list[EventRef],
        clauses: list[Clause] | None = None,
        since: datetime | None = None,
    ) -> Evidence:
        """Why something is decided. To be asked before the state changes."""
        return Evidence(
            rule=rule,
            definition=self.metrics.version,
            reason=reason,
            clauses=clauses or [],
            events=events,
            since=since,
        )

    def snapshot(self) -> Snapshot:
        """The account as it stands."""
        account = self.account
        return Snapshot(
            stage=account.stage,
            entered_at=account.entered_at,
            flags=list(account.flags),
            band=account.health.band,
            score=account.health.score,
            metrics={name: self[name] for name in self.metrics.in_snapshot},
            traits={name: trait.value for name, trait in account.traits.items() if trait.value is not None},
            milestones=dict(account.milestones),
        )


def mark_of(message: LifecycleMessage) -> DecisionMark | None:
    """What is remembered of a decision that a rule took; None of what an event says by itself."""
    match message:
        case StageChanged():
            return DecisionMark(message.at, "stage", message.stage, message.evidence.rule, message.previous or "")
        case FlagChanged():
            return DecisionMark(
                message.at, "flag_raised" if message.raised else "flag_cleared", message.flag, message.evidence.rule
            )
        case SignalRaised():
            return DecisionMark(message.at, "signal", message.signal, message.evidence.rule)
        case MilestoneReached() if message.evidence.clauses:
            return DecisionMark(message.at, "milestone", message.milestone, message.evidence.rule)
        case HealthChanged():
            return DecisionMark(message.at, "health", message.band, message.evidence.rule, message.previous)
        case _:
            return None


def midnight(at: datetime) -> datetime:
    """The beginning of that day."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def in_utc(at: datetime) -> datetime:
    """The same moment in UTC, the only zone the core computes in."""
    return at if at.tzinfo is UTC else at.astimezone(UTC)


class Reached(NamedTuple):
    """A milestone and when it was reached."""

    milestone: str
    at: datetime


def tick(account: Account, at: datetime) -> bool:
    """The clock reaches a midnight."""
    account.clock, account.next_due = at, at + DAY
    return True


def see_earlier(account: Account, at: datetime) -> bool:
    """A late event is the account's earliest."""
    account.first_seen = at
    return True


def enter_stage(account: Account, stage: str) -> bool:
    account.stage, account.entered_at = stage, account.clock
    return True


def raise_flag(account: Account, flag: str) -> bool:
    account.flags[flag] = account.clock
    return True


def clear_flag(account: Account, flag: str) -> bool:
    return account.flags.pop(flag, None) is not None


def reach_milestone(account: Account, reached: Reached) -> bool:
    account.milestones[reached.milestone] = reached.at
    return True


def set_score(account: Account, scored: tuple[float | None, float]) -> bool:
    """The health score, None where it is unknown, and its coverage, 0 to 1."""
    health = account.health
    before = (health.score, health.coverage)
    health.score, health.coverage = scored
    return before != scored


def set_band(account: Account, band: Band) -> bool:
    before, account.health.band = account.health.band, band
    return before != band


class Removed(NamedTuple):
    """Who was removed, and when."""

    user: str
    at: datetime


def instant(at: datetime) -> Instant:
    """The day and the second of it."""
    return at.toordinal(), second_of_day(at)


def second_of_day(at: datetime) -> int:
    """The second of its day, 0 to 86399."""
    return at.hour * 3600 + at.minute * 60 + at.second


def forget_user(account: Account, removed: Removed) -> bool:
    """Count this person among the active no more, unless they were there after that."""
    user, known = removed.user, account.departed.get(removed.user)
    if known is None:
        if len(account.departed) >= MAX_DEPARTED:
            del account.departed[min(account.departed, key=lambda each: account.departed[each].at)]
        account.departed[user] = Departure(removed.at)
    elif known.at < removed.at:
        known.at = removed.at
    else:
        return False
    users = [members for store, members in account.active_members.items() if store.startswith(USERS)]
    return sum(remove(members, user, instant(removed.at)) for members in users) > 0
