"""How is it told? A table on standard output, each row beside ours."""

from collections.abc import Mapping, Sequence

from bench.report import Told, told
from bench.rounds import Result
from bench.rows import REFERENCE
from bench.statistics import Figure

_RATE = "events/s"
_COST = "cpu us/event "


def table(machine: dict[str, str], results: Sequence[Result]) -> str:
    """Readable in a terminal: one line a row and figure group, then what failed."""
    lines = ["; ".join(f"{name} {value}" for name, value in machine.items())]
    every = told(results)
    for group in dict.fromkeys(one.group for one in every):
        lines += ["", *_group(group, [one for one in every if one.group == group])]
    lines += ["", *(f"{one.name}: {one.notes}" for one in every if one.notes)]
    return "\n".join(lines)


def _group(group: str, rows: Sequence[Told]) -> list[str]:
    ours = REFERENCE[group]
    head = f"{group:22} {'survives a crash?':26} {'rounds':>6}"
    lines = [f"{head} {_RATE:>10} {'min..max':>17} {'of ' + ours:>22}  cost and more"]
    return [*lines, *(line for row in rows for line in _row(row))]


def _row(row: Told) -> list[str]:
    head = f"{row.name:22} {row.survives:26}"
    if row.failed or row.absent:
        return [f"{head} {'FAILED: ' + row.failed if row.failed else 'not in this plan: ' + row.absent}"]
    rest = dict(row.figures)
    rate = rest.pop(_RATE, None)
    first = f"{head} {row.count:>6} {_rate(rate)} {_ratio(row.share)}"
    return [f"{first}  {'; '.join(filter(None, (_cost(rest), *_others(rest))))}"]


def _cost(rest: Mapping[str, Figure]) -> str:
    told = [f"{name.removeprefix(_COST)} {_n(one.median)}" for name, one in rest.items() if name.startswith(_COST)]
    return f"us/event {', '.join(told)}" if told else ""


def _others(rest: Mapping[str, Figure]) -> list[str]:
    return [f"{name} {_n(one.median)}" for name, one in rest.items() if not name.startswith(_COST)]


def _rate(rate: Figure | None) -> str:
    return f"{_n(rate.median):>10} {_n(rate.least) + '..' + _n(rate.most):>17}" if rate else " " * 28


def _ratio(share: Figure | None) -> str:
    return f"{f'{_r(share.median)} ({_r(share.least)}..{_r(share.most)})' if share else '':>22}"


def _r(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def _n(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
