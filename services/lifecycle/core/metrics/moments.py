"""What was last so? days_since, days_since_milestone, latest, open. Each answers the same in whatever order events arrive."""

from datetime import datetime, timedelta

from services.lifecycle.core.definition.duration import duration
from services.lifecycle.core.definition.metrics import DaysSince, DaysSinceMilestone, Latest, Open
from services.lifecycle.core.metrics.part import Part, Write, Writer, days_between, scalar
from services.lifecycle.core.state import Account, TimestampedValue
from services.lifecycle.core.turn import Hit, Turn
from shared.contracts.evidence import Value

MOST_KEYS = 500


def days_since(_: str, metric: DaysSince) -> Part:
    of, first = metric.of, metric.first

    def read(turn: Turn) -> float | None:
        span = turn.account.spans.get(of)
        return days_between(turn, span.first if first else span.last) if span else None

    stores = frozenset({f"span:{of}"})
    return Part(read, stores, (of,), needs=stores)


def days_since_milestone(_: str, metric: DaysSinceMilestone) -> Part:
    def read(turn: Turn) -> float | None:
        reached = turn.account.milestones.get(metric.of)
        return days_between(turn, reached) if reached else None

    return Part(read, frozenset({"milestones"}))


def latest(_: str, metric: Latest) -> Part:
    store, expires = f"latest:{metric.of}:{metric.property}", duration(metric.expires) if metric.expires else None

    def write(account: Account, hit: Hit) -> bool:
        value = scalar(hit.properties.get(metric.property))
        return value is not None and _tell(account.latest, store, hit.at, value)

    def read(turn: Turn) -> Value:
        told = turn.account.latest.get(store)
        return told.value if told and not _expired(turn, told.at, expires) else None

    stores, writes = frozenset({store}), (Write(metric.of, store, lambda _: write, properties=True),)
    return Part(read, stores, (metric.of,), writes, needs=stores, timed=expires is not None)


def opened(name: str, metric: Open) -> Part:
    store, classes = f"open:{name}", (*metric.opened, *metric.closed)
    make = _keyed if metric.key else _netted

    def write(of: str) -> Write:
        writer = make(store, metric.key or "", of in metric.opened)
        return Write(of, store, lambda _: writer, properties=True)

    def read(turn: Turn) -> float | None:
        known = turn.account.open_items.get(store)
        return max(0.0, float(sum(told.value for told in known.values()))) if known else None  # type: ignore[misc]

    stores = frozenset({store})
    return Part(read, stores, classes, tuple(map(write, classes)), needs=stores, timed=False)


def _keyed(store: str, key: str, opens: bool) -> Writer:
    """Each key stands as its latest event says. The oldest closed ones are forgotten first."""

    def write(account: Account, hit: Hit) -> bool:
        known = account.open_items.setdefault(store, {})
        which = str(hit.properties.get(key, ""))[:100]
        if which not in known and len(known) >= MOST_KEYS:
            del known[next((old for old, told in known.items() if not told.value), next(iter(known)))]
        return _tell(known, which, hit.at, 1.0 if opens else 0.0)

    return write


def _netted(store: str, _: str, opens: bool) -> Writer:
    def write(account: Account, hit: Hit) -> bool:
        net = account.open_items.setdefault(store, {}).setdefault("", TimestampedValue(hit.at, 0.0))
        net.value = float(net.value or 0) + (1.0 if opens else -1.0)
        return True

    return write


def _tell(known: dict[str, TimestampedValue], key: str, at: datetime, value: Value) -> bool:
    """The later told wins; of two at the same instant, the one that arrived last."""
    told = known.get(key)
    if told and told.at > at:
        return False
    known[key] = TimestampedValue(at, value)
    return not told or told.value != value or told.at != at


def _expired(turn: Turn, at: datetime, expires: timedelta | None) -> bool:
    return expires is not None and turn.day - at.toordinal() >= expires.days
