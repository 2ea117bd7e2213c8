"""House rules: each import contract refuses a violation planted in a copy; names, locks and ignores keep to the form."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.contract.house.files import ROOT, modules, named, text, tracked
from tests.contract.house.planting import copied, planted, verdicts
from tests.contract.house.plants import PLANTS, SERVICES, Plant

PYPROJECT = Path("pyproject.toml")
CONTRACTS = tomllib.loads(text(PYPROJECT))["tool"]["importlinter"]["contracts"]
NO_NAMES = ("utils", "util", "helpers", "common", "manager", "base", "misc")
_HOME = re.compile(r"(?<![\w.}])/(?:work|root|home)/")
_CODE = re.compile(r'"[A-Z]+\d*"')


def _stated(source: str) -> bool:
    """Whether a module begins with a docstring whose first line asks nothing. A module without code needs none."""
    first = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    return not source.strip() or (bool(first) and "?" not in first)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("house"))


def test_the_tree_as_it_is_breaks_no_contract(copy: Path) -> None:
    assert set(verdicts(copy).values()) == {"KEPT"}


@pytest.mark.parametrize("violation", PLANTS, ids=str)
def test_a_planted_violation_breaks_its_contract(violation: Plant, copy: Path) -> None:
    with planted(copy, violation.lines):
        assert verdicts(copy)[violation.contract] == "BROKEN"


def test_what_was_planted_is_gone_again(copy: Path) -> None:
    before = {path: path.is_dir() or path.read_bytes() for path in copy.rglob("*")}
    with planted(copy, {"services.ingest.store": "import httpx2", "services.new.core.planted": ""}):
        assert (copy / "services/new/core/__init__.py").exists()

    assert {path: path.is_dir() or path.read_bytes() for path in copy.rglob("*")} == before


def test_every_contract_has_a_violation_planted_against_it() -> None:
    assert {contract["name"] for contract in CONTRACTS} == {violation.contract for violation in PLANTS}


def test_every_service_and_the_runtime_has_a_complete_list_of_its_files() -> None:
    inside = [contract for contract in CONTRACTS if contract.get("exhaustive")]
    folders = {path.parts[1] for path in modules("services") if len(path.parts) > 2}

    listed = {name for contract in inside for name in contract["containers"]}
    outside_cores = {name for name in listed if not name.endswith(".core")}
    assert outside_cores == {f"services.{name}" for name in folders} | {"shared.access", "shared.bus", "shared.service"}
    assert set(SERVICES) == folders


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert named(modules("services", "shared", "waymark"), *NO_NAMES) == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_names_no_place_to_download_from(lock: str) -> None:
    lines = text(Path(lock)).splitlines()

    assert [line for line in lines if re.search(r"https?:|://|--(extra-)?index|--find-links", line)] == []
    assert any(line.strip().startswith("--hash=") for line in lines)


@pytest.mark.parametrize("top", ["services", "shared", "waymark", "tests", "bench", "deploy"])
def test_every_module_says_what_it_is_in_a_statement(top: str) -> None:
    assert [str(path) for path in modules(top) if not _stated(text(path))] == []


def test_no_file_knows_a_developers_machine() -> None:
    assert [str(path) for path in tracked() if _HOME.search(text(path))] == []


def test_every_ruff_ignore_has_its_reason_beside_it() -> None:
    ruff = text(PYPROJECT).partition("[tool.ruff.lint]")[2].partition("[tool.ruff.lint.flake8")[0]
    ignores = [line for line in ruff.partition("ignore = [")[2].splitlines() if _CODE.search(line)]

    assert len(ignores) > 10
    assert [line for line in ignores if not re.search(r"#\s+\S+ \S+", line)] == []


def test_each_rule_finds_what_it_is_for() -> None:
    assert named([Path("services/ingest/utils.py"), Path("shared/common/a.py"), Path("shared/db.py")], *NO_NAMES) == [
        "services/ingest/utils.py",
        "shared/common/a.py",
    ]
    assert _HOME.search("see " + str(Path("/", "work", "x")))
    assert not _HOME.search("example.com" + str(Path("/", "home", "x")))
    assert (ROOT / PYPROJECT).exists()
    assert [_stated(source) for source in ("", '"""Consumer: reads."""', '"""What reads?"""', "x = 1")] == [
        True,
        True,
        False,
        False,
    ]
