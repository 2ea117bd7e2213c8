"""Metrics over windows of days: count, sum, active_days, trend; over members seen in them: active_users, user_days, features."""

from collections.abc import Callable, Iterator

from services.lifecycle.core.activity import (
    MAX_MEMBER_DAYS,
    MAX_SERIES_DAYS,
    ActiveMembers,
    Series,
    add,
    count_member_days,
    count_members,
    has,
    next_change,
    nobody,
    see,
    window,
)
from services.lifecycle.core.evaluation import USERS, Evaluation, Occurrence, instant, note_unreadable, second_of_day
from services.lifecycle.core.findings import Findings
from services.lifecycle.core.metrics.kind import (
    CompiledByName,
    CompiledMetric,
    MetricKind,
    StoreWrite,
    Writer,
)
from services.lifecycle.core.metrics.moments import span_store
from services.lifecycle.core.possible_values import COUNT, NUMBER, Values
from services.lifecycle.core.state import Account
from shared.definitions import At, Mistake
from shared.values import read_number

MAX_BROWSER_AMOUNT = 100
"""The most that one event of a browser stands for, which also takes nothing away: its rate bounds events, not what they say."""
MAX_USERS = 50_000
MAX_FEATURES = 500


class Count(MetricKind, frozen=True, tag="count"):
    """Events of a class in `days`; `weight` names a property that says how many one event stands for."""

    of: str
    days: int
    weight: str | None = None

    def values(self) -> Values:
        return NUMBER if self.weight else COUNT

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        yield from find.event_class((*at, "of"), self.of)
        yield from find.window(at, self.days, MAX_SERIES_DAYS)

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        return _total(_amounts(self.of, self.weight, self.days, otherwise=1), self.days)


class Sum(MetricKind, frozen=True, tag="sum"):
    """Sum of a property of a class's events in `days`."""

    of: str
    property: str
    days: int

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        yield from find.event_class((*at, "of"), self.of)
        yield from find.window(at, self.days, MAX_SERIES_DAYS)

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        return _total(_amounts(self.of, self.property, self.days, otherwise=0), self.days)


class ActiveDays(MetricKind, frozen=True, tag="active_days"):
    """Days of the last `days` on which the account had an event of the class."""

    of: str
    days: int

    def values(self) -> Values:
        return COUNT

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        yield from find.event_class((*at, "of"), self.of)
        yield from find.window(at, self.days, MAX_SERIES_DAYS)

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        store = f"days:{self.of}"
        return _total(StoreWrite(self.of, store, lambda keep_days: _mark_day(store, keep_days), self.days), self.days)


class Trend(MetricKind, frozen=True, tag="trend"):
    """Rate in the last `recent` days over the rate in the `prior` days before, less one; unknown before both have passed."""

    of: str
    recent: int
    prior: int
    weight: str | None = None

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        yield from find.event_class((*at, "of"), self.of)
        if not (self.recent > 0 and self.prior > 0 and self.recent + self.prior <= MAX_SERIES_DAYS):
            yield find.at(at, f"recent and prior must be positive and together at most {MAX_SERIES_DAYS} days")

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        recent, prior, of = self.recent, self.prior, self.of
        write = _amounts(of, self.weight, recent + prior, otherwise=1)

        def read(evaluation: Evaluation) -> float | None:
            span = evaluation.account.spans.get(of)
            if span is None or evaluation.day - span.first.toordinal() < recent + prior:
                return None
            series = evaluation.account.series.get(write.store)
            before = sum(window(series, evaluation.day - recent, prior)) / prior
            return sum(window(series, evaluation.day, recent)) / recent / before - 1 if before else None

        def next_move(evaluation: Evaluation, _literals: frozenset[float] | None) -> int | None:
            span, day = evaluation.account.spans.get(of), evaluation.day
            if span is None:
                return None
            known_from = span.first.toordinal() + recent + prior
            if day < known_from:
                return known_from
            series = evaluation.account.series.get(write.store)
            before = next_change(series, day - recent, prior)
            moves = [next_change(series, day, recent), before and before + recent]
            return min((move for move in moves if move), default=None)

        needs = frozenset({span_store(of)})
        return CompiledMetric(read, frozenset({write.store}), (of,), (write,), needs=needs, next_move=next_move)


def _total(write: StoreWrite, days: int) -> CompiledMetric:
    store = write.store

    def read(evaluation: Evaluation) -> float:
        return float(sum(window(evaluation.account.series.get(store), evaluation.day, days)))

    def next_move(evaluation: Evaluation, _literals: frozenset[float] | None) -> int | None:
        return next_change(evaluation.account.series.get(store), evaluation.day, days)

    return CompiledMetric(read, frozenset({store}), (write.event_class,), (write,), next_move=next_move)


def _amounts(of: str, weight: str | None, days: int, otherwise: int) -> StoreWrite:
    """Amounts a day; events and sums of one property share their buckets between all windows."""
    store = f"amount:{of}:{weight or ''}:{otherwise}"

    def make(keep_days: int) -> Writer:
        def count(account: Account, occurrence: Occurrence) -> bool:
            series, day = account.series.get(store), occurrence.day
            if series is None or series.last != day:
                return _add_amount(account, store, day, otherwise, keep_days)
            series.days[-1] += otherwise  # as most are: the question costs less than the calls
            return otherwise != 0

        def weigh(account: Account, occurrence: Occurrence) -> bool:
            given = occurrence.properties.get(weight or "")
            if given is None:
                return count(account, occurrence)
            amount = read_number(given)
            if amount is None:
                note_unreadable(occurrence.unreadable, of, weight or "", given)
            elif not occurrence.trusted:
                amount = min(max(amount, 0), MAX_BROWSER_AMOUNT)
            return _add_amount(account, store, occurrence.day, otherwise if amount is None else amount, keep_days)

        return weigh if weight else count

    return StoreWrite(of, store, make, days, properties=weight is not None)


def _add_amount(account: Account, store: str, day: int, amount: float, keep_days: int) -> bool:
    series = account.series.get(store)
    if series is None:
        account.series[store] = Series(day, [amount])
    else:
        add(series, day, amount, keep_days)
    return amount != 0


def _mark_day(store: str, keep_days: int) -> Writer:
    def write(account: Account, occurrence: Occurrence) -> bool:
        series, day = account.series.get(store), occurrence.day
        if series is not None and (series.days[-1] if series.last == day else has(series, day)):
            return False
        return _add_amount(account, store, occurrence.day, 1, keep_days)

    return write


class ActiveUsers(MetricKind, frozen=True, tag="active_users"):
    """Users with an event of the class in `days`."""

    of: str
    days: int

    def values(self) -> Values:
        return COUNT

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        yield from find.event_class((*at, "of"), self.of)
        yield from find.window(at, self.days, MAX_MEMBER_DAYS)

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        return _members(_users(self.of), self.days, count_members)


class UserDays(MetricKind, frozen=True, tag="user_days"):
    """Pairs of user and day with an event of the class in `days`: over `days` it is the mean of daily actives."""

    of: str
    days: int

    def values(self) -> Values:
        return COUNT

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        yield from find.event_class((*at, "of"), self.of)
        yield from find.window(at, self.days, MAX_MEMBER_DAYS)

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        return _members(_users(self.of), self.days, count_member_days)


class Features(MetricKind, frozen=True, tag="features"):
    """Distinct features of the class's events in `days`."""

    of: str
    days: int

    def values(self) -> Values:
        return COUNT

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        yield from find.event_class((*at, "of"), self.of)
        yield from find.window(at, self.days, MAX_MEMBER_DAYS)
        if self.of in find.names.events and self.of not in find.names.with_feature:
            yield find.at((*at, "of"), f"event class '{self.of}' does not say where its feature stands")

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        store = f"features:{self.of}"

        def write(account: Account, occurrence: Occurrence) -> bool:
            feature, day = occurrence.feature[:200], occurrence.day
            if not feature:
                return False
            active = _seen_in(account, store, day)
            seen = active.members.get(feature)
            if seen is not None and seen.last == day:  # as most are: the question costs less than the calls
                return False
            return see(active, feature, day, MAX_FEATURES)

        return _members(StoreWrite(self.of, store, lambda _keep: write), self.days, count_members)


def _members(
    write: StoreWrite, days: int, count: Callable[[ActiveMembers | None, int, int], int | float]
) -> CompiledMetric:
    """A count over the members (users, features) that the store has seen in `days`."""
    store = write.store

    def read(evaluation: Evaluation) -> float:
        return float(count(evaluation.account.active_members.get(store), evaluation.day, days))

    def next_move(evaluation: Evaluation, _literals: frozenset[float] | None) -> int | None:
        active = evaluation.account.active_members.get(store)
        moves = [next_change(each, evaluation.day, days) for each in (active.newest, active.pairs)] if active else []
        return min((move for move in moves if move), default=None)

    return CompiledMetric(read, frozenset({store}), (write.event_class,), (write,), next_move=next_move)


def _users(of: str) -> StoreWrite:
    store = f"{USERS}{of}"

    def write(account: Account, occurrence: Occurrence) -> bool:
        user, day, second = occurrence.user, occurrence.day, second_of_day(occurrence.at)
        active = _seen_in(account, store, day)
        seen = active.members.get(user)
        if seen is not None and seen.last == day:  # as above
            seen.second = max(seen.second, second)
            return False
        departure = account.departed.get(user) if account.departed else None
        left = instant(departure.at) if departure is not None else None
        return see(active, user, day, MAX_USERS, second, left)

    return StoreWrite(of, store, lambda _keep: write)


def _seen_in(account: Account, store: str, day: int) -> ActiveMembers:
    active = account.active_members.get(store)
    if active is None:
        active = account.active_members[store] = nobody(day)
    return active
