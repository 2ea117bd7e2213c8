"""Report: every row with its rounds, figures and ratio to ours, as JSON and as a table on standard output."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.rounds import Figures, Result
from bench.rows import REFERENCE
from bench.statistics import Figure, figures, ratio

RESULTS = Path(__file__).parent / "results"
_RATE = "events/s"


class RowReport(msgspec.Struct, frozen=True):
    """A row as it is written. `share` is its rate over that of our row of the group."""

    name: str
    group: str
    survives: str
    count: int
    failed: str
    absent: str
    notes: str
    figures: dict[str, Figure]
    share: Figure | None
    rounds: list[Figures]


class Report(msgspec.Struct, frozen=True):
    """One run. `how` are plan, seed, date and how long it took."""

    how: dict[str, str]
    machine: dict[str, str]
    rows: list[RowReport]


def told(results: Sequence[Result]) -> list[RowReport]:
    """Each result with its statistics; one that failed has none."""
    sound = {one.name: one.rounds for one in results if not one.failed}
    return [_told(one, sound.get(REFERENCE[one.group], [])) for one in results]


def _told(one: Result, ours: Sequence[Figures]) -> RowReport:
    rounds = [] if one.failed else one.rounds
    return RowReport(
        one.name,
        one.group,
        one.survives,
        len(rounds),
        one.failed,
        one.absent,
        one.notes,
        figures(rounds),
        ratio(rounds, ours, _RATE),
        rounds,
    )


def write(how: Mapping[str, str], machine: Mapping[str, str], results: Sequence[Result]) -> Path:
    """The file with everything."""
    report = Report(dict(how), dict(machine), told(results))
    file = RESULTS / "latest.json"
    RESULTS.mkdir(exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return file


def read(file: Path) -> Report:
    """A report that was written before."""
    return msgspec.json.decode(file.read_bytes(), type=Report)


_COST = "cpu us/event "


def table(machine: dict[str, str], results: Sequence[Result]) -> str:
    """Readable in a terminal: one line a row and figure group, then what failed."""
    lines = ["; ".join(f"{name} {value}" for name, value in machine.items())]
    every = told(results)
    for group in dict.fromkeys(one.group for one in every):
        lines += ["", *_group(group, [one for one in every if one.group == group])]
    lines += ["", *(f"{one.name}: {one.notes}" for one in every if one.notes)]
    return "\n".join(lines)


def _group(group: str, rows: Sequence[RowReport]) -> list[str]:
    ours = REFERENCE[group]
    head = f"{group:22} {'survives a crash?':26} {'rounds':>6}"
    lines = [f"{head} {_RATE:>10} {'min..max':>17} {'of ' + ours:>22}  cost and more"]
    return [*lines, *(line for row in rows for line in _row(row))]


def _row(row: RowReport) -> list[str]:
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
