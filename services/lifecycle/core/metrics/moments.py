"""Metrics of the last moment: days_since, days_since_milestone, latest, open.

Each answers the same in whatever order events arrive.
"""

from collections.abc import Callable, Iterator

from services.lifecycle.core.evaluation import MILESTONES, Evaluation, Occurrence, note_unreadable
from services.lifecycle.core.findings import Findings
from services.lifecycle.core.metrics.kind import (
    CompiledByName,
    CompiledMetric,
    MetricKind,
    StoreWrite,
    Writer,
    counts_days,
    days_between,
    scalar,
)
from services.lifecycle.core.possible_values import AMOUNT, ANYTHING, COUNT, Values
from services.lifecycle.core.schema_types import duration
from services.lifecycle.core.state import Account, Span, TimestampedValue, tie_of
from shared.contracts.evidence import Value
from shared.definitions import At, Mistake
from shared.values import read_number, read_score

MAX_KEYS = 500
_OUTRANKS = 1 << 32
"""More than any event's tie."""


class DaysSince(MetricKind, frozen=True, tag="days_since"):
    """Calendar days since the last (or with `first`, the first) event of the class."""

    of: str
    first: bool = False

    def values(self) -> Values:
        return COUNT

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        yield from find.event_class((*at, "of"), self.of)

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        of, first = self.of, self.first

        def read(evaluation: Evaluation) -> float | None:
            span = evaluation.account.spans.get(of)
            return days_between(evaluation, span.first if first else span.last) if span else None

        stores = frozenset({span_store(of)})
        return CompiledMetric(read, stores, (of,), needs=stores, next_move=counts_days(read))


class DaysSinceMilestone(MetricKind, frozen=True, tag="days_since_milestone"):
    """Calendar days since a milestone was reached."""

    of: str

    def values(self) -> Values:
        return COUNT

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        yield from find.milestone((*at, "of"), self.of)

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        of = self.of

        def read(evaluation: Evaluation) -> float | None:
            reached = evaluation.account.milestones.get(of)
            return days_between(evaluation, reached) if reached else None

        return CompiledMetric(read, frozenset({MILESTONES}), next_move=counts_days(read))


class Latest(MetricKind, frozen=True, tag="latest"):
    """A property of the latest event of the class that has it, unknown again after `expires`.

    With a `scale` ([0, 10]) it is a whole number on it, and an event with anything else is passed over. Metrics of one
    property share its store, so they have the same scale.
    """

    of: str
    property: str
    scale: tuple[int, int] | None = None
    expires: str | None = None

    def values(self) -> Values:
        return Values(*self.scale, is_whole=True) if self.scale else ANYTHING

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        yield from find.event_class((*at, "of"), self.of)
        if self.expires:
            yield from find.duration((*at, "expires"), self.expires)
        if self.scale and self.scale[0] >= self.scale[1]:
            yield find.at((*at, "scale"), "a scale is its lowest and its highest whole number: [0, 10]")

    def compile(self, _name: str, _compiled: CompiledByName) -> CompiledMetric:
        store, of, property_ = f"latest:{self.of}:{self.property}", self.of, self.property
        read_value: Callable[[object], Value] = _score_on(self.scale) if self.scale else scalar
        expires = duration(self.expires).days if self.expires else None
        scaled = self.scale is not None  # the scale may be younger than what is stored

        def write(account: Account, occurrence: Occurrence) -> bool:
            given = occurrence.properties.get(property_)
            value = read_value(given)
            if value is None:
                if given is not None:
                    note_unreadable(occurrence.unreadable, of, property_, given)
                return False
            return _set_later(account.latest, store, TimestampedValue(occurrence.at, value, tie_of(occurrence.id)))

        def read(evaluation: Evaluation) -> Value:
            latest = evaluation.account.latest.get(store)
            if latest is None or (expires is not None and evaluation.day - latest.at.toordinal() >= expires):
                return None
            return read_value(latest.value) if scaled else latest.value

        def expiry(evaluation: Evaluation, _literals: frozenset[float] | None) -> int | None:
            latest = evaluation.account.latest.get(store)
            day = latest.at.toordinal() + expires if latest is not None and expires is not None else 0
            return day if day > evaluation.day else None

        stores, writes = frozenset({store}), (StoreWrite(self.of, store, lambda _keep: write, properties=True),)
        timed = expires is not None
        return CompiledMetric(read, stores, (self.of,), writes, needs=stores, timed=timed, next_move=expiry)


class Open(MetricKind, frozen=True, tag="open"):
    """Opened and not closed. With `key` (a ticket's id) each is counted by its latest event, else opened minus closed.

    Of an opening and a closing at one instant the closing counts, as in data that know days only; where the key is missing, the
    opening: then one thing may have taken another's place.

    With `amount` too it is the sum of that property of the open ones: unknown while one of them does not say it.
    """

    opened: list[str]
    closed: list[str]
    key: str | None = None
    amount: str | None = None

    def values(self) -> Values:
        return AMOUNT if self.amount else COUNT

    def check(self, find: Findings, at: At) -> Iterator[Mistake]:
        for key, names in (("opened", self.opened), ("closed", self.closed)):
            for index, name in enumerate(names):
                yield from find.event_class((*at, key, index), name)
        for name in sorted(set(self.opened) & set(self.closed)):
            yield find.at((*at, "closed"), f"event class '{name}' both opens and closes")
        if self.amount and not self.key:
            yield find.at((*at, "amount"), "an amount is summed over what a 'key' tells apart: name one")

    def compile(self, name: str, _compiled: CompiledByName) -> CompiledMetric:
        store, classes = f"open:{name}", (*self.opened, *self.closed)
        key, amount = self.key, self.amount

        def store_write(of: str) -> StoreWrite:
            opens = of in self.opened
            writer = _keyed(store, key, opens, amount) if key else _netted(store, opens)
            return StoreWrite(of, store, lambda _keep: writer, properties=True)

        def read(evaluation: Evaluation) -> float | None:
            items = evaluation.account.open_items.get(store)
            if not items or any(item.value is None for item in items.values()):
                return None
            return max(0.0, float(sum(item.value for item in items.values())))  # type: ignore[misc]

        stores = frozenset({store})
        return CompiledMetric(read, stores, classes, tuple(map(store_write, classes)), needs=stores, timed=False)


def _score_on(scale: tuple[int, int]) -> Callable[[object], float | None]:
    """Reads a whole number of the scale, as the float that a metric is."""
    scores = range(scale[0], scale[1] + 1)

    def read(value: object) -> float | None:
        score = read_score(value, scores)
        return None if score is None else float(score)

    return read


def span_store(event_class: str) -> str:
    """The store of when a class was first and last seen."""
    return f"span:{event_class}"


def span_writer(event_class: str) -> Writer:
    """The class's first and last time; moves what reads days when the day is another."""

    def write(account: Account, occurrence: Occurrence) -> bool:
        span, at = account.spans.get(event_class), occurrence.at
        if span is None:
            account.spans[event_class] = Span(at, at)
            return True
        if at >= span.last:
            moved = occurrence.day != span.last.toordinal()
            span.last = at
            return moved
        if at < span.first:
            span.first = at
            return True
        return False

    return write


def _keyed(store: str, key: str, opens: bool, amount: str | None) -> Writer:
    """Each key stands as its latest event says: 1 or its amount while it is open, None where that is no number.

    The oldest closed ones are forgotten first.
    """

    def value(occurrence: Occurrence) -> float | None:
        if not opens or amount is None:
            return 1.0 if opens else 0.0
        number = read_number(occurrence.properties.get(amount))
        return None if number is None or number <= 0 else float(number)

    def write(account: Account, occurrence: Occurrence) -> bool:
        items = account.open_items.setdefault(store, {})
        item = str(occurrence.properties.get(key, ""))[:100]
        if item not in items and len(items) >= MAX_KEYS:
            del items[next((old for old, state in items.items() if state.value == 0), next(iter(items)))]
        tie = tie_of(occurrence.id) + (_OUTRANKS if opens is not bool(item) else 0)
        return _set_later(items, item, TimestampedValue(occurrence.at, value(occurrence), tie))

    return write


def _netted(store: str, opens: bool) -> Writer:
    def write(account: Account, occurrence: Occurrence) -> bool:
        net = account.open_items.setdefault(store, {}).setdefault("", TimestampedValue(occurrence.at, 0.0))
        net.value = float(net.value or 0) + (1.0 if opens else -1.0)
        return True

    return write


def _set_later(values: dict[str, TimestampedValue], key: str, given: TimestampedValue) -> bool:
    """The later value wins; of two at the same instant, the one with the greater tie."""
    before = values.get(key)
    if before and (before.at > given.at or (before.at == given.at and before.tie >= given.tie)):
        return False
    values[key] = given
    return not before or before.value != given.value or before.at != given.at
