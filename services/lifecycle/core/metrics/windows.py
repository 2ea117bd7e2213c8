"""How much happened in the last days? count, sum, active_days, trend."""

from collections.abc import Callable

from services.lifecycle.core.definition.metrics import ActiveDays, Count, Sum, Trend
from services.lifecycle.core.metrics.part import Part, Read, Write, Writer, number
from services.lifecycle.core.series import Series, add, has, window
from services.lifecycle.core.state import Account
from services.lifecycle.core.turn import Hit, Turn


def count(_: str, metric: Count) -> Part:
    write = _amounts(metric.of, metric.weight, metric.days, otherwise=1)
    return Part(_total(write.store, metric.days), frozenset({write.store}), (metric.of,), (write,))


def summed(_: str, metric: Sum) -> Part:
    write = _amounts(metric.of, metric.property, metric.days, otherwise=0)
    return Part(_total(write.store, metric.days), frozenset({write.store}), (metric.of,), (write,))


def active_days(_: str, metric: ActiveDays) -> Part:
    write = Write(metric.of, f"days:{metric.of}", lambda keep: _mark(f"days:{metric.of}", keep), metric.days)
    return Part(_total(write.store, metric.days), frozenset({write.store}), (metric.of,), (write,))


def trend(_: str, metric: Trend) -> Part:
    recent, prior, of = metric.recent, metric.prior, metric.of
    write = _amounts(of, metric.weight, recent + prior, otherwise=1)

    def read(turn: Turn) -> float | None:
        span = turn.account.spans.get(of)
        if span is None or turn.day - span.first.toordinal() < recent + prior:
            return None
        series = turn.account.series.get(write.store)
        before = sum(window(series, turn.day - recent, prior)) / prior
        return sum(window(series, turn.day, recent)) / recent / before - 1 if before else None

    return Part(read, frozenset({write.store}), (of,), (write,), needs=frozenset({f"span:{of}"}))


def _total(store: str, days: int) -> Read:
    def read(turn: Turn) -> float:
        return float(sum(window(turn.account.series.get(store), turn.day, days)))

    return read


def _amounts(of: str, weight: str | None, days: int, otherwise: int) -> Write:
    """Amounts a day; events and sums of one property share their buckets between all windows."""
    store = f"amount:{of}:{weight or ''}:{otherwise}"

    def make(keep: int) -> Writer:
        def write(account: Account, hit: Hit) -> bool:
            told = number(hit.properties.get(weight)) if weight else None
            return _bucket(account, store, hit.day, otherwise if told is None else told, keep)

        return write

    return Write(of, store, make, days, properties=weight is not None)


def _bucket(account: Account, store: str, day: int, amount: float, keep: int) -> bool:
    series = account.series.get(store)
    if series is None:
        account.series[store] = Series(day, [amount])
    else:
        add(series, day, amount, keep)
    return amount != 0


def _mark(store: str, keep: int) -> Callable[[Account, Hit], bool]:
    def write(account: Account, hit: Hit) -> bool:
        series = account.series.get(store)
        return not (series and has(series, hit.day)) and _bucket(account, store, hit.day, 1, keep)

    return write
