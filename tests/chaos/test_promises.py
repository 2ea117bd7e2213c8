"""docs/promises.md names every invariant and every mutant, and nothing else."""

import re

from tests.chaos.invariants import INVARIANTS
from tests.chaos.mutants import COVERED, MUTANTS
from tests.conftest import ROOT

PAGE = (ROOT / "docs/promises.md").read_text("utf8")
ROWS = {row.split("|")[1].strip(): row for row in PAGE.splitlines() if re.match(r"\| I\d+ \| \*\*", row)}


def test_every_promise_has_its_row_and_its_mutants() -> None:
    assert list(ROWS) == [code for code, *_ in INVARIANTS]
    for name, mutant in MUTANTS.items():
        for code in ROWS.keys() & set(mutant.caught):  # one is also caught by another guard, which halts
            assert f"`{name}`" in ROWS[code], f"{name} breaks {code}: say so"


def test_no_row_names_a_mutant_that_does_not_break_it() -> None:
    for code, row in ROWS.items():
        for name in re.findall(r"`([a-z_]+)`", row.rsplit("|", 2)[1]):
            assert code in MUTANTS[name].caught, f"{name} is said to break {code}"


def test_covered_guards_are_told_of() -> None:
    assert "COVERED" in PAGE
    assert not COVERED.keys() & MUTANTS.keys()
