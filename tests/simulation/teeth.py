"""Which seeds notice that a guard is gone? For each mutant the first that does, and the same seed without it."""

from collections.abc import Iterator
from typing import NamedTuple

from tests.chaos.mutants import HALTED, MUTANTS, planted
from tests.simulation.files import Templates
from tests.simulation.run import Report, run

FIRST: dict[str, int] = {"message_taken_twice": 9}
"""Where a mutant is not noticed by seed 2 already: the seed known to do it."""
_MOST = 60


class Bite(NamedTuple):
    """What noticed a mutant (nothing: no seed did), and whether that seed is kept without it."""

    mutant: str
    seed: int
    broken: tuple[str, ...]
    kept: bool

    @property
    def noticed(self) -> bool:
        return self.kept and not set(self.broken).isdisjoint(MUTANTS[self.mutant].caught)


def bites(templates: Templates) -> Iterator[Bite]:
    """One for every mutant."""
    healthy: dict[int, bool] = {}
    for name in MUTANTS:
        seed, broken = _noticed(name, templates)
        if seed not in healthy:
            healthy[seed] = run(seed, templates).kept
        yield Bite(name, seed, broken, healthy[seed])


def _noticed(name: str, templates: Templates) -> tuple[int, tuple[str, ...]]:
    first, broken = FIRST.get(name, 2), tuple[str, ...]()
    for seed in range(first, first + _MOST):
        with planted(name):
            broken = _broken(run(seed, templates))
        if not set(broken).isdisjoint(MUTANTS[name].caught):
            return seed, broken
    return first, broken


def _broken(report: Report) -> tuple[str, ...]:
    broken = tuple(verdict.code for verdict in report.verdicts if verdict.broken)
    return (*broken, HALTED) if report.halted else broken
