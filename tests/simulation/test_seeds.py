"""A few seeds keep the promises, a seed is the same run each time, and a missing guard is noticed."""

import os
import re
import subprocess
import sys

import pytest

from tests.chaos.invariants import INVARIANTS
from tests.chaos.mutants import COVERED, MUTANTS, MissingAttributeError, planted, replaced
from tests.conftest import ROOT


def simulation(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, whose hash seed it pins itself."""
    free = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, cwd=ROOT, env=free, capture_output=True, text=True, check=False)  # noqa: S603  ourselves


@pytest.fixture(scope="module")
def teeth() -> dict[str, str]:
    """What each mutant met with."""
    lines = simulation("--teeth").stdout.splitlines()
    return {line.split()[0]: line for line in lines if line and line.split()[0] in MUTANTS}


def test_the_promises_hold() -> None:
    told = simulation("--seeds", "3", "--first", "100")
    assert told.returncode == 0, told.stdout
    assert "3 seeds" in told.stdout


def test_a_seed_is_the_same_run_in_every_process() -> None:
    first, second = (simulation("--seed", "3", "--trace") for _ in range(2))
    assert re.search(r"digest [0-9a-f]{64}", first.stdout)
    assert _lines(first) == _lines(second)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_guard_that_is_gone_is_noticed(teeth: dict[str, str], name: str) -> None:
    assert " noticed " in teeth[name], teeth[name]


def test_every_invariant_has_a_mutant_that_breaks_it() -> None:
    caught = {code for mutant in MUTANTS.values() for code in mutant.caught}
    assert caught >= {code for code, _, _ in INVARIANTS}


@pytest.mark.parametrize("name", [*MUTANTS, *COVERED])
def test_a_plant_is_undone(name: str) -> None:
    with planted(name):
        pass
    with planted(name):
        pass


def test_a_plant_says_when_there_is_nothing_to_replace() -> None:
    with pytest.raises(MissingAttributeError), replaced(sys, "no_such_guard", None):
        pass


def _lines(told: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in told.stdout.splitlines() if " seeds in " not in line]
