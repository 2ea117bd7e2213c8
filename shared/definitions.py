"""Definition files: strict YAML with the line of every value and of every mistake.

`load(path, Model)` reads a YAML file into a msgspec Struct (declare it `forbid_unknown_fields=True`). Whatever
is wrong becomes a `DefinitionError` naming file, line, what is wrong and what was probably meant.

A struct whose keys were renamed says so: `RENAMED: ClassVar[Mapping[str, str]] = {"rest": "cooldown"}`. A file that still
has the old key gets the mistake "'rest' is now 'cooldown'" at its line.

Of several structs with a tag one may be the default: `DEFAULT_KIND: ClassVar[bool] = True`. A value that names no kind is of it.
"""

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import yaml
from msgspec import inspect

from shared.durations import Duration

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
    """A definition, its version (12 hex digits of the SHA-256 of the file), where its values stand, and the file's bytes."""

    value: T
    version: str
    file: str
    lines: dict[At, int]
    text: bytes = b""

    def mistake(self, at: At, problem: str, meant: str = "") -> Mistake:
        """A mistake at the value standing there, or at the nearest enclosing one that has a line."""
        return Mistake(self.file, _line(self.lines, at), problem, meant)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans: `on:` is a key and NO a country; only true and false are true and false."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node. One that cannot be built (2026-02-31) is a mistake at its line."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None


_BOOLEAN = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:[tT]rue|TRUE|[fF]alse|FALSE)$"), list("tTfF"))


def load(path: Path, model: type[T]) -> Loaded[T]:
    """Read and check one file. Raises DefinitionError, also where there is no such file."""
    file, raw = str(path), _read(path)
    node, plain = _parsed(raw, file)
    lines: dict[At, int] = {(): 1}
    if node is not None and (mistakes := list(_walk(node, (), lines, file))):
        raise DefinitionError(mistakes)
    _name_default_kinds(inspect.type_info(model), plain)
    if renamed := [Mistake(file, _line(lines, at), problem) for at, problem in _renamed(model, plain)]:
        raise DefinitionError(renamed)
    try:
        value = msgspec.convert(plain, model, dec_hook=_duration)
    except msgspec.ValidationError as error:
        raise DefinitionError([_explained(str(error), plain, lines, file, model)]) from None
    return Loaded(value, hashlib.sha256(raw).hexdigest()[:12], file, lines, raw)


def _duration(kind: type, value: Any) -> Any:
    """The types that msgspec does not know: durations."""
    if issubclass(kind, Duration):
        return kind.parse(value)
    raise NotImplementedError(f"no field of a definition has the type {kind.__name__}")


def load_plain(path: Path) -> Any:
    """The plain values of a YAML file, whatever keys it has. Raises DefinitionError where it is not YAML."""
    return _parsed(_read(path), str(path))[1]


def nearest(word: str, words: Iterable[str]) -> str:
    """The word of these that is closest to this one, or empty."""
    return next(iter(difflib.get_close_matches(word, list(words), 1, 0.6)), "")


def named(problem: str, word: str, words: Iterable[str]) -> tuple[str, str]:
    """The problem with a word that is none of these, and the word that was probably meant; where none is close, all there are."""
    known = sorted(words)
    if meant := nearest(word, known):
        return problem, meant
    return (f"{problem} (there are: {', '.join(known)})" if known else f"{problem} (there are none)"), ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DefinitionError([Mistake(str(path), 1, "cannot be read: there is no such file")]) from None
    except OSError as error:
        raise DefinitionError([Mistake(str(path), 1, f"cannot be read: {error.strerror}")]) from None


def _parsed(raw: bytes, file: str) -> tuple[yaml.Node | None, Any]:
    """The nodes of a YAML file, which know their lines, and its plain values."""
    try:
        loader = _Loader(raw)
        node = loader.get_single_node()
        plain = loader.construct_document(node) if node is not None else None
        _depth(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DefinitionError([Mistake(file, line, f"not YAML: {error.problem}")]) from None
    except yaml.reader.ReaderError as error:
        line = raw[: error.position].count(b"\n") + 1
        raise DefinitionError([Mistake(file, line, f"not YAML: {error.reason}")]) from None
    except RecursionError:
        raise DefinitionError([Mistake(file, 1, "nested too deeply")]) from None
    return node, plain


_MAX_DEPTH = 50
"""Levels of nesting. Our models have ten; the bound keeps every later walk over the values from exhausting the stack."""


def _depth(node: yaml.Node | None, level: int = 1) -> None:
    """Raises RecursionError past `_MAX_DEPTH` levels, and for a value that contains itself."""
    if level > _MAX_DEPTH:
        raise RecursionError
    if isinstance(node, yaml.CollectionNode):
        for inner in node.value:
            for each in inner if isinstance(inner, tuple) else (inner,):
                _depth(each, level + 1)


def _renamed(model: Any, plain: Any) -> Iterator[tuple[At, str]]:
    """The renamed keys under a value, each with what it is called now."""
    return _old_keys(inspect.type_info(model), plain, ())


def _name_default_kinds(kind: inspect.Type, plain: Any) -> None:
    """Write the kind into values that name none, where a struct is the default of several (`DEFAULT_KIND`)."""
    for one in kind.types if isinstance(kind, inspect.UnionType) else (kind,):
        if isinstance(one, inspect.StructType) and isinstance(plain, dict) and getattr(one.cls, "DEFAULT_KIND", False):
            plain.setdefault(one.tag_field, one.tag)
        for step, inner in _inner(one, plain):
            _name_default_kinds(inner, plain[step])


def _old_keys(kind: inspect.Type, plain: Any, at: At) -> Iterator[tuple[At, str]]:
    if isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from _old_keys(one, plain, at)
        return
    if isinstance(kind, inspect.StructType) and isinstance(plain, dict) and _is_meant(kind, plain):
        for old, new in getattr(kind.cls, "RENAMED", {}).items():
            if old in plain:
                yield (*at, old), f"'{old}' is now '{new}'"
    for step, inner in _inner(kind, plain):
        yield from _old_keys(inner, plain[step], (*at, step))


def _inner(kind: inspect.Type, plain: Any) -> Iterator[tuple[str | int, inspect.Type]]:
    """The values within a value of this type: where each stands, and its type."""
    if isinstance(kind, inspect.StructType) and isinstance(plain, dict) and _is_meant(kind, plain):
        yield from ((field.encode_name, field.type) for field in kind.fields if field.encode_name in plain)
    elif isinstance(kind, inspect.DictType) and isinstance(plain, dict):
        yield from ((key, kind.value_type) for key in plain)
    elif isinstance(kind, inspect.ListType | inspect.VarTupleType) and isinstance(plain, list):
        yield from ((index, kind.item_type) for index in range(len(plain)))


def _is_meant(kind: inspect.StructType, plain: dict[Any, Any]) -> bool:
    return kind.tag_field is None or plain.get(kind.tag_field) == kind.tag


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


_MISSING = re.compile(r"missing required field `([^`]+)`")
_UNKNOWN_FIELD = re.compile(r"unknown field `([^`]+)`")
_UNKNOWN_KIND = re.compile(r"Invalid value '([^']*)'")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|(\[\.\.\.\])")


def _explained(error: str, plain: Any, lines: dict[At, int], file: str, model: Any) -> Mistake:
    """Turn msgspec's sentence (`Object contains unknown field `x` - at `$.a[0]``) into a mistake with a line."""
    problem, _, where = error.partition(" - at `")
    at = _located(error, where.rstrip("`").removeprefix("$"), plain, model)
    if missing := _MISSING.search(problem):
        return Mistake(file, _line(lines, at), f"'{missing[1]}' is missing")
    if kind := _UNKNOWN_KIND.search(problem):
        return _unknown_kind(kind[1], at, lines, file, model)
    if unknown := _UNKNOWN_FIELD.search(problem):
        word = unknown[1]
        return Mistake(file, _line(lines, (*at, word)), f"unknown key '{word}'", nearest(word, _fields(model)))
    return Mistake(file, _line(lines, at), _in_words(problem))


_EXPECTED = re.compile(r"Expected `([^`]+)`(?: matching regex '(.*)'$)?")
_GOT = re.compile(r", got `(\w+)`")
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "keys with values",
    "null": "nothing",
}


def _in_words(problem: str) -> str:
    """What the checker says, without the names of its types: `int` is a whole number."""
    expected = _EXPECTED.match(problem)
    if expected is None:
        return problem.replace("Object", "this").replace("`", "'")
    kinds = [_TYPES.get(name.strip(), f"'{name.strip()}'") for name in expected[1].split("|") if name.strip() != "null"]
    wanted = " or ".join(kinds) + (f" of the form {expected[2]}" if expected[2] else problem[expected.end() :])
    if got := _GOT.search(wanted):
        return f"{_TYPES.get(got[1], got[1])} stands here, and should be {wanted[: got.start()]}{wanted[got.end() :]}"
    return f"this should be {wanted}".replace("`", "'")


def _unknown_kind(word: str, at: At, lines: dict[At, int], file: str, model: Any) -> Mistake:
    """A tag that no struct has: the kinds there are belong to the one set of tagged structs that uses this key."""
    key = at[-1] if at else ""
    there_are = sorted(_tags(model, str(key)))
    listed = f" (there are: {', '.join(there_are)})" if there_are else ""
    return Mistake(file, _line(lines, at), f"unknown {key} '{word}'{listed}", nearest(word, there_are))


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


def _without(plain: Any, at: At, key: Any) -> Any:
    """A copy in which the mapping standing there has this one key only."""
    if not at:
        return {key: plain[key]}
    copy = plain.copy()
    copy[at[0]] = _without(plain[at[0]], at[1:], key)
    return copy


def _fails_alike(error: str, plain: Any, model: Any) -> bool:
    try:
        msgspec.convert(plain, model, dec_hook=_duration)
    except msgspec.ValidationError as other:
        return str(other) == error
    return False


def _fields(model: Any) -> set[str]:
    """Every key any struct under this model knows: a typo is compared with all of them."""
    return {field.encode_name for struct in _structs(model) for field in msgspec.structs.fields(struct)}


def _tags(model: Any, tag_field: str) -> set[str]:
    """The words that this key may have where it says which struct is meant."""
    configs = (struct.__struct_config__ for struct in _structs(model))
    return {str(config.tag) for config in configs if config.tag_field == tag_field}


def _structs(model: Any) -> set[type[msgspec.Struct]]:
    """Every struct under this model, itself included."""
    found: set[type[msgspec.Struct]] = set()
    seen: set[Any] = set()
    waiting = [model]
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        waiting += getattr(each, "__args__", ())
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            found.add(each)
            waiting += [field.type for field in msgspec.structs.fields(each)]
    return found
