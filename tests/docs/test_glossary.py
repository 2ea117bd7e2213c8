"""Glossary and code agree: each term that names code exists there, and no retired word is a name of ours any more."""

import ast
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.contract.house.files import ROOT, modules

PAGE = ROOT / "docs" / "glossary.md"
_ROW = re.compile(r"^\| ([^|]+) \|(?: [^|]+ \|)? ([^|]+) \|$", re.MULTILINE)
EXCEPTIONS: dict[str, str] = {}
"""Names that are a retired word all the same (path:name), each with its reason."""


def terms(text: str) -> list[tuple[str, str]]:
    """Each term with the code it names."""
    return [(term, code.strip("`")) for term, code in _ROW.findall(text.partition("## Retired words")[0])][1:]


def retired(text: str) -> list[str]:
    """The retired words."""
    rows = _ROW.findall(text.partition("## Retired words")[2])[1:]
    return [word for words, _ in rows for word in words.split(", ")]


def exists(dotted: str) -> bool:
    """Whether there is a module of this name, or a class, function or constant in one."""
    try:
        import_module(dotted)
    except ModuleNotFoundError:
        module, _, name = dotted.rpartition(".")
        return bool(module) and exists(module) and hasattr(import_module(module), name)
    return True


def named_like(words: Iterable[str], paths: Iterable[Path]) -> list[str]:
    """Modules, classes and functions that have one of these words for a name, as path:name."""
    unwanted = {word.lower() for word in words}
    return [f"{path}:{name}" for path in paths for name in _names(path) if name.strip("_").lower() in unwanted]


def _names(path: Path) -> Iterator[str]:
    yield path.stem
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


@pytest.mark.parametrize(("term", "code"), terms(PAGE.read_text("utf8")))
def test_a_term_names_code_that_exists(term: str, code: str) -> None:
    assert exists(code), f"{term} is no longer {code}"


def test_the_terms_stand_in_alphabetical_order_and_each_once() -> None:
    names = [term for term, _ in terms(PAGE.read_text("utf8"))]

    assert len(names) > 50
    assert names == sorted(set(names), key=lambda name: (name.replace("-", " "), name))


def test_no_retired_word_is_a_name() -> None:
    words = retired(PAGE.read_text("utf8"))

    assert len(words) > 20
    found = named_like(words, modules("services", "shared", "waymark"))
    assert sorted(set(found) - EXCEPTIONS.keys()) == []
    assert sorted(EXCEPTIONS.keys() - set(found)) == [], "no exception is needed for these any more"


def test_a_retired_word_and_a_term_that_is_gone_are_found() -> None:
    assert named_like(["Planted_Errors", "REFUSES"], [Path("tests/docs/planted_errors.py")]) == [
        "tests/docs/planted_errors.py:planted_errors",
        "tests/docs/planted_errors.py:refuses",
    ]
    assert not exists("shared.gone")
    assert not exists("shared.failures.Gone")
    assert exists("shared.failures.Halted")
    assert exists("shared.contracts")
