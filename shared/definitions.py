"""What did the company define, and where exactly is the mistake? Strict YAML with the line of every value.

`load(path, Model)` reads a YAML file into a msgspec Struct (declare it `forbid_unknown_fields=True`). Whatever
is wrong becomes a `DefinitionError` naming file, line, what is wrong and what was probably meant.
"""

import difflib
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import yaml

T = TypeVar("T")
At = tuple[str | int, ...]
"""Where a value stands: ("stages", "adoption", "edges", 0, "when")."""


class Mistake(NamedTuple):
    """One thing wrong with a file. `meant` is a suggestion, empty when there is none."""

    file: str
    line: int
    problem: str
    meant: str = ""

    def __str__(self) -> str:
        hint = f"; did you mean '{self.meant}'?" if self.meant else ""
        return f"{self.file}:{self.line}: {self.problem}{hint}"


class DefinitionError(Exception):
    """The file cannot be used. `mistakes` are all that were found, in file order."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(mistakes, key=lambda mistake: (mistake.file, mistake.line))
        super().__init__("\n".join(map(str, self.mistakes)))


class Loaded(NamedTuple, Generic[T]):
    """A definition, its version (12 hex digits of the SHA-256 of the file), and where its values stand."""

    value: T
    version: str
    file: str
    lines: dict[At, int]

    def mistake(self, at: At, problem: str, meant: str = "") -> Mistake:
        """A mistake at the value standing there, or at the nearest enclosing one that has a line."""
        return Mistake(self.file, _line(self.lines, at), problem, meant)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans: `on:` is a key and NO a country; only true and false are true and false."""


_BOOLEAN = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:[tT]rue|TRUE|[fF]alse|FALSE)$"), list("tTfF"))


def load(path: Path, model: type[T]) -> Loaded[T]:
    """Read and check one file. Raises DefinitionError; OSError where it cannot be read."""
    raw = path.read_bytes()
    try:
        node = yaml.compose(raw, Loader=_Loader)
        plain = yaml.load(raw, Loader=_Loader)  # noqa: S506  a SafeLoader that takes fewer words for booleans
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise DefinitionError([Mistake(str(path), line, f"not YAML: {error.problem}")]) from None
    lines: dict[At, int] = {(): 1}
    if node is not None:
        mistakes = list(_walk(node, (), lines, str(path)))
        if mistakes:
            raise DefinitionError(mistakes)
    try:
        value = msgspec.convert(plain, model)
    except msgspec.ValidationError as error:
        raise DefinitionError([_explained(str(error), plain, lines, str(path), model)]) from None
    return Loaded(value, hashlib.sha256(raw).hexdigest()[:12], str(path), lines)


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word closest to this one, or empty."""
    return next(iter(difflib.get_close_matches(word, list(known), 1, 0.6)), "")


def _walk(node: yaml.Node, at: At, lines: dict[At, int], file: str) -> Iterable[Mistake]:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, key.value)
            if here in lines:
                yield Mistake(file, key.start_mark.line + 1, f"'{key.value}' stands here twice")
            lines[here] = key.start_mark.line + 1
            yield from _walk(value, here, lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _walk(value, (*at, index), lines, file)


def _line(lines: dict[At, int], at: At) -> int:
    while at not in lines:
        at = at[:-1]
    return lines[at]


_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|(\[\.\.\.\])")


def _explained(error: str, plain: Any, lines: dict[At, int], file: str, model: Any) -> Mistake:
    """Turn msgspec's sentence (`Object contains unknown field `x` - at `$.a[0]``) into a mistake with a line."""
    problem, _, where = error.partition(" - at `")
    at = _located(error, where.rstrip("`").removeprefix("$"), plain, model)
    unknown = re.search(r"unknown field `([^`]+)`", problem)
    if not unknown:
        return Mistake(file, _line(lines, at), problem.replace("Object", "this").replace("`", "'"))
    word = unknown.group(1)
    return Mistake(file, _line(lines, (*at, word)), f"unknown key '{word}'", nearest(word, _fields(model)))


def _located(error: str, where: str, plain: Any, model: Any) -> At:
    """The concrete path: msgspec writes `[...]` for the key of a mapping, so find the key that brings the error alone."""
    at: At = ()
    for name, index, anywhere in _STEP.findall(where):
        if anywhere:
            keys = list(_inside(plain, at))
            guilty = (key for key in keys if _fails_alike(error, _without(plain, at, key), model))
            at = (*at, next(guilty, keys[0]))
        else:
            at = (*at, name or int(index))
    return at


def _inside(plain: Any, at: At) -> Any:
    for step in at:
        plain = plain[step]
    return plain


def _without(plain: Any, at: At, keep: Any) -> Any:
    """A copy in which the mapping standing there has this one key only."""
    if not at:
        return {keep: plain[keep]}
    copy = plain.copy()
    copy[at[0]] = _without(plain[at[0]], at[1:], keep)
    return copy


def _fails_alike(error: str, plain: Any, model: Any) -> bool:
    try:
        msgspec.convert(plain, model)
    except msgspec.ValidationError as again:
        return str(again) == error
    return False


def _fields(model: Any, seen: frozenset[Any] = frozenset()) -> set[str]:
    """Every key any struct under this model knows: a typo is compared with all of them."""
    if model in seen:
        return set()
    seen |= {model}
    found: set[str] = set()
    if isinstance(model, type) and issubclass(model, msgspec.Struct):
        for field in msgspec.structs.fields(model):
            found |= {field.encode_name} | _fields(field.type, seen)
    for inner in getattr(model, "__args__", ()):
        found |= _fields(inner, seen)
    return found
