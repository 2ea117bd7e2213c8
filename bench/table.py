"""How is it told? A table on standard output, and everything in a file."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec

from bench.rows import Row

_RESULTS = Path(__file__).parent / "results"


class Figure(msgspec.Struct, frozen=True):
    """One figure over the rounds."""

    median: float
    least: float
    most: float


def figures(row: Row) -> dict[str, Figure]:
    """Each figure of the row."""
    names = row.rounds[0] if row.rounds else {}
    return {name: _figure([one[name] for one in row.rounds]) for name in names}


def _figure(values: Sequence[float]) -> Figure:
    return Figure(median(values), min(values), max(values))


def table(machine: dict[str, str], rows: Sequence[Row]) -> str:
    """Readable in a terminal."""
    lines = ["; ".join(f"{name} {value}" for name, value in machine.items())]
    for row in rows:
        lines += ["", f"{row.name} - survives a crash: {row.survives}"]
        if row.failed:
            lines.append(f"  FAILED after {len(row.rounds)} rounds: {row.failed}")
            continue
        lines.append(f"  {f'{len(row.rounds)} rounds':32} {'median':>12} {'min':>12} {'max':>12}")
        lines += [f"  {name:32} {_n(one.median)} {_n(one.least)} {_n(one.most)}" for name, one in figures(row).items()]
    return "\n".join(lines)


def _n(value: float) -> str:
    return f"{value:12,.0f}" if value >= 100 else f"{value:12,.1f}"


def written(machine: dict[str, str], rows: Sequence[Row]) -> Path:
    """The file with everything, rounds included."""
    told = [{**msgspec.to_builtins(row), "figures": msgspec.to_builtins(figures(row))} for row in rows]
    file = _RESULTS / "latest.json"
    _RESULTS.mkdir(exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode({"machine": machine, "rows": told})) + b"\n")
    return file
