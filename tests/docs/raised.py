"""Error codes: every code that our source gives to a client or a dead letter, found in its syntax trees."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.contract.house.files import ROOT, modules

DEAD_LETTER = 0
"""Stands for the status of an error that answers nobody: the record is parked."""
_STATUS = {"Refused": 400, "Retry": 503, "Parked": DEAD_LETTER}
_CODE = {"Refused": "refused", "Retry": "unavailable", "Parked": "parked"}
_OF_OURS = {"shared.failures": set(_STATUS), "shared.http.problem": {"problem"}, "shared.http": {"problem"}}


class Raised(NamedTuple):
    """An error as the source states it: `...` in code and message stands for what is only known at run time."""

    code: str
    status: int
    message: str


def raised(paths: Iterable[Path] | None = None) -> set[Raised]:
    """Every error of these modules; of all of ours when none are given."""
    paths = modules("services", "shared", "waymark") if paths is None else paths
    return {error for path in paths for error in _in_module(ast.parse((ROOT / path).read_text("utf8")))}


def _in_module(tree: ast.Module) -> Iterator[Raised]:
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    names = set(_imported(tree)) | {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} & {"problem"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in names:
            yield from _error(_name(node.func), node, constants)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in _OF_OURS:
            yield from (alias.name for alias in node.names if alias.name in _OF_OURS[node.module])


def _name(function: ast.expr) -> str:
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _error(name: str, call: ast.Call, constants: dict[str, ast.expr]) -> Iterator[Raised]:
    given = call.args + [keyword.value for keyword in call.keywords if keyword.arg in {"code", "status"}]
    if any(isinstance(value, ast.Starred) for value in given):
        return
    if name == "problem":
        if len(given) < 3 or not isinstance(given[0], ast.Constant):
            return  # hands on what an error of ours carries
        yield Raised(_text(given[1], constants), _number(given[0]), _text(given[2], constants))
        return
    code = _text(given[1], constants) if name != "Retry" and len(given) > 1 else _CODE[name]
    status = _number(given[2]) if name == "Refused" and len(given) > 2 else _STATUS[name]
    yield Raised(code, status, _text(given[0], constants))


def _number(value: ast.expr) -> int:
    if not isinstance(value, ast.Constant) or not isinstance(value.value, int):
        raise TypeError(f"a status is written as a number, not as {ast.unparse(value)}")
    return value.value


def _text(value: ast.expr, constants: dict[str, ast.expr]) -> str:
    """Text as written; of names and attributes within it, the name."""
    match value:
        case ast.Constant():
            return str(value.value)
        case ast.JoinedStr():
            return "".join(_text(part, constants) for part in value.values)
        case ast.Name() if value.id in constants:
            return _text(constants[value.id], {})
        case _:
            return "..."
