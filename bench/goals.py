"""Goals of speed and the distance to them: `python -m bench.goals RESULT.json docs/speed.md` writes the table there."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from bench.report import Report, RowReport, read
from bench.statistics import Figure, figure, ratio

_BEGIN, _END = "<!-- goals", "<!-- /goals -->"
_RATE, _COST = "events/s", "cpu us/event all"
_BY_REST, _BY_CONSOLE = " REST ms", " console ms"
Rows = dict[str, RowReport]
Ask = Callable[[Rows], Figure | None]


class Part(NamedTuple):
    """One number of a goal. `most`: it must not be more than that."""

    what: str
    ask: Ask
    must: float
    stretch: float | None
    most: bool = False
    unit: str = "x"


class Goal(NamedTuple):
    """One goal, in the words of the design."""

    number: str
    measure: str
    must: str
    stretch: str
    reference: str
    parts: tuple[Part, ...]


def times(ours: str, theirs: str, name: str = _RATE) -> Ask:
    """Our figure over theirs, round by round."""

    def ask(rows: Rows) -> Figure | None:
        return ratio(rows[ours].rounds, rows[theirs].rounds, name) if ours in rows and theirs in rows else None

    return ask


def itself(row: str, name: str) -> Ask:
    """A figure as it was measured."""

    def ask(rows: Rows) -> Figure | None:
        values = [one[name] for one in rows[row].rounds if name in one] if row in rows else []
        return figure(values) if values else None

    return ask


def slowest_list(row: str) -> Ask:
    """How often the REST call behind it a list of the console took, of the list where that was most, round by round."""

    def ask(rows: Rows) -> Figure | None:
        found = [_slowest(one) for one in rows[row].rounds] if row in rows else []
        return figure(found) if found else None

    return ask


def _slowest(figures: Mapping[str, float]) -> float:
    lists = [name.removesuffix(_BY_REST) for name in figures if name.endswith(_BY_REST)]
    return max(figures[name + _BY_CONSOLE] / figures[name + _BY_REST] for name in lists)


GOALS = (
    Goal("G1", "our lifecycle service, minimal, against sensible SQLAlchemy batching", ">= 4x", "5.5x", "5.8x",
         (Part("", times("ours-minimal", "sensible"), 4, 5.5),)),
    Goal("G2", "against one transaction an event", ">= 100x", "200x", "210x",
         (Part("", times("ours-minimal", "naive"), 100, 200),)),
    Goal("G3", "against Quix Streams with RocksDB", ">= 1.5x", "2.4x", "2.4x",
         (Part("", times("ours-minimal", "quix-rocksdb"), 1.5, 2.4),)),
    Goal("G4", "against FastStream a message / batch", ">= 4x / 0.9x", "6.5x / 1.3x", "6.7x / 1.3x",
         (Part("message", times("ours-minimal", "faststream-message"), 4, 6.5),
          Part("batch", times("ours-minimal", "faststream-batch"), 0.9, 1.3))),
    Goal("G5", "against Faust", ">= 8x", "12x", "12.6x",
         (Part("", times("ours-minimal", "faust-memory"), 8, 12),)),
    Goal("G6", "against Kafka Streams exactly_once_v2, one thread; and its CPU an event", ">= 0.8x; less CPU",
         ">= 1x; half the CPU", "1.07x; 19 against 36 us",
         (Part("rate", times("ours-minimal", "streams-eos"), 0.8, 1),
          Part("CPU", times("ours-minimal", "streams-eos", _COST), 1, 0.5, most=True))),
    Goal("G7", "in memory (replay, backtest), minimal, against Bytewax", ">= 1.5x", "2.5x", "2.6x",
         (Part("lines in memory", times("replay", "replay-bytewax"), 1.5, 2.5),
          Part("over Kafka", times("ours-unkept", "bytewax"), 1.5, 2.5))),
    Goal("G8", "default against minimal", ">= 0.5x", "0.7x", "-",
         (Part("", times("ours-shipped", "ours-minimal"), 0.5, 0.7),)),
    Goal("G9", "intake against textbook, 100 / 10 / 1 events a post", ">= 10x / 4x / 1.5x", "14 / 6 / 2",
         "14.0 / 5.7 / 2.0",
         (Part("100", times("intake-ours", "intake-textbook"), 10, 14),
          Part("10", times("intake-ours", "intake-textbook", f"{_RATE} at 10"), 4, 6),
          Part("1", times("intake-ours", "intake-textbook", f"{_RATE} at 1"), 1.5, 2))),
    Goal("G10", "the road, HTTP to committed lifecycle state, Kafka + PostgreSQL, kept up",
         ">= 20k events/s, commit age p99 < 1 s", "30k", "40k with one hop less",
         (Part("", itself("road-scaled", _RATE), 20_000, 30_000, unit=" events/s"),
          Part("age p99", itself("road-scaled", "age p99 ms"), 1_000, None, most=True, unit=" ms"))),
    Goal("G11", "the road, embedded on SQLite, durable", ">= 8k events/s", "15k", "-",
         (Part("", itself("road-embedded", _RATE), 8_000, 15_000, unit=" events/s"),)),
    Goal("G12", "cost an event at 1 M accounts against 1 k", "<= 1.3x", "1.1x", "-",
         (Part("CPU", times("accounts-1m", "accounts-1k", _COST), 1.3, 1.1, most=True),
          Part("time", times("accounts-1k", "accounts-1m"), 1.3, 1.1, most=True))),
    Goal("G13", "the slowest list of the console against the REST call behind it, 100,000 accounts", "<= 2x", "-", "-",
         (Part("", slowest_list("console-100k"), 2, None, most=True),)),
)  # fmt: skip


def lines(report: Report | None) -> list[str]:
    """The table, with where its figures come from. Raises ValueError for a plan that only proves that all rows work."""
    if report and report.how["plan"] == "tiny":
        raise ValueError("figures of the tiny plan mean nothing")
    rows = {row.name: row for row in report.rows if not row.failed} if report else {}
    head = [
        "| # | measure | must | stretch | the reference reached | ours, median (min..max) |",
        "|---|---|---|---|---|---|",
    ]
    return [*head, *(_line(goal, rows) for goal in GOALS), "", _origin(report)]


def _line(goal: Goal, rows: Rows) -> str:
    cells = (goal.number, goal.measure, goal.must, goal.stretch, goal.reference)
    return f"| {' | '.join(cells)} | {'; '.join(_told(part, part.ask(rows)) for part in goal.parts)} |"


def _told(part: Part, found: Figure | None) -> str:
    what = f"{part.what} " if part.what else ""
    if found is None:
        return f"{what}not measured"
    spread = f"{_n(found.median)}{part.unit} ({_n(found.least)}..{_n(found.most)})"
    return f"{what}{spread} **{verdict(part, found.median)}**"


def verdict(part: Part, value: float) -> str:
    """Missed, met, or better than that."""
    reached = [bound for bound in (part.must, part.stretch) if bound is not None and _holds(part, value, bound)]
    if part.must not in reached:
        return "missed"
    return "stretch" if part.stretch in reached else "met"


def _holds(part: Part, value: float, bound: float) -> bool:
    return value <= bound if part.most else value >= bound


def _origin(report: Report | None) -> str:
    if report is None:
        return "Not measured yet."
    told = "; ".join(f"{name} {value}" for name, value in {**report.how, **report.machine}.items())
    failed = ", ".join(f"{row.name} ({row.failed})" for row in report.rows if row.failed)
    return f"{told}." + (f" Failed: {failed}." if failed else "")


def _n(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def into(text: str, report: Report | None, name: str) -> str:
    """The page with the table put where the last one was. Raises ValueError when there is no place for it."""
    before, begun, rest = text.partition(_BEGIN)
    _, ended, after = rest.partition(_END)
    if not begun or not ended:
        raise ValueError(f"there is no {_BEGIN} ... --> {_END} in the page")
    return "\n".join([f"{before}{_BEGIN} {name} -->", *lines(report), f"{_END}{after}"])


def source(text: str) -> str:
    """The result that a page's table was made from; empty where it was made from none."""
    return text.partition(_BEGIN)[2].partition("-->")[0].strip()


def main() -> int:
    """Write the table into the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.goals", description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("page", type=Path)
    given = parser.parse_args()
    text = given.page.read_text(encoding="utf8")
    given.page.write_text(into(text, read(given.result), given.result.as_posix()), encoding="utf8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
