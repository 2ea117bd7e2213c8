"""The table of guards fits the tree: `make guards` can take each out, and no test stands there that no guard makes fail."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adversary.guards.table import GUARDS, WITHOUT_A_GUARD, Guard
from tests.conftest import ROOT

HERE = Path(__file__)


def _tests() -> Iterator[str]:
    for file in sorted(HERE.parent.glob("test_*.py")):
        if file != HERE:
            for node in ast.parse(file.read_text("utf8")).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                    yield f"{file.name}::{node.name}"


@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)
def test_a_guard_stands_once_where_the_table_says(guard: Guard) -> None:
    text = (ROOT / guard.file).read_text("utf8")
    assert text.count(guard.old) == 1, (
        "the code moved: write its text into tests/adversary/guards/table.py, run `make guards`"
    )
    assert guard.new != guard.old


def test_each_test_is_seen_to_fail_without_some_guard() -> None:
    there = set(_tests())
    guarded = {test for guard in GUARDS.values() for test in guard.tests}
    assert guarded - there == set(), "no such tests"
    assert there - guarded == WITHOUT_A_GUARD.keys()
