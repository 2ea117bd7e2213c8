"""What is written down? Every row with its rounds, its figures and its ratio to ours, and all that must be known to repeat it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.rounds import Figures, Result
from bench.rows import REFERENCE
from bench.statistics import Figure, figures, ratio

RESULTS = Path(__file__).parent / "results"
_RATE = "events/s"


class Told(msgspec.Struct, frozen=True):
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
    rows: list[Told]


def told(results: Sequence[Result]) -> list[Told]:
    """Each result with its statistics; one that failed has none."""
    sound = {one.name: one.rounds for one in results if not one.failed}
    return [_told(one, sound.get(REFERENCE[one.group], [])) for one in results]


def _told(one: Result, ours: Sequence[Figures]) -> Told:
    rounds = [] if one.failed else one.rounds
    return Told(
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
