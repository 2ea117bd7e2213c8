"""A step kind is one class and its member of the table."""

import pkgutil
import sys
from importlib import import_module
from pathlib import Path

import pytest

from deploy.servers.process import run
from services.notify.core import steps
from services.notify.core.steps.kind import StepKind
from services.notify.core.steps.table import KINDS, demand_lines
from tests.contract.house.files import ROOT
from tests.docs.following import copied, tried

FORGOTTEN = """
from services.notify.core.steps.kind import StepKind

class Forgotten(StepKind, frozen=True, tag="forgotten"): ...

import services.notify.definition
"""


def test_a_kind_that_is_not_in_the_table_is_refused_at_import() -> None:
    code, said = run([sys.executable, "-c", FORGOTTEN], cwd=ROOT)

    assert code != 0
    assert "step kinds that are not in StepFile: Forgotten" in said


@pytest.mark.parametrize("forgotten", KINDS, ids=lambda kind: kind.__name__)
def test_a_kind_that_is_taken_out_of_the_table_is_refused(forgotten: type[StepKind]) -> None:
    with pytest.raises(TypeError, match=forgotten.__name__):
        demand_lines(tuple(kind for kind in KINDS if kind is not forgotten))


def test_a_kind_whose_file_nothing_imports_is_refused_at_import_of_the_table(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    lines = [line for line in FORGOTTEN.splitlines() if "definition" not in line]
    (folder / "services/notify/core/steps/forgotten.py").write_text("\n".join(lines), "utf8")

    code, said = tried("import services.notify.core.steps.table", folder)

    assert code != 0
    assert "step kinds that are not in StepFile: Forgotten" in said


def test_every_kind_of_the_package_is_in_the_table() -> None:
    for module in pkgutil.iter_modules(steps.__path__, f"{steps.__name__}."):
        import_module(module.name)

    demand_lines(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_says_what_it_is_and_checks_itself(kind: type[StepKind]) -> None:
    assert kind.__doc__
    assert "check" in vars(kind)
