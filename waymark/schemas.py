"""JSON Schemas: of each topic's messages, for programs that are not Python, and of each definition file, for editors.

`python -m waymark.schemas` writes them to shared/contracts/schemas/ and config/schemas/. The description of a key is the
string that follows its field in the model, of an object its class's docstring.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from services.advocacy.core.definitions import Referrals, Survey
from services.advocacy.core.survey_kinds import SURVEY_KINDS
from services.lifecycle.core.definition import Definition
from services.notify.channels.table import CHANNELS
from services.notify.core.budget import BudgetFile
from services.notify.core.play_schema import PlayFile
from shared import contracts
from shared.brand import Brand
from shared.contracts.topics import TOPICS, Topic
from shared.contracts.usage import UsageEvent
from shared.durations import Duration

ROOT = Path(__file__).parents[1]
MESSAGES = Path(contracts.__file__).parent / "schemas"
DEFINITIONS = ROOT / "config" / "schemas"
_INDENTED, _FLUSH = rb"\n    ", rb"\n"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/{name}"
_DURATION = Annotated[str, msgspec.Meta(pattern="^\\d{1,4}[mhdw]$", description="A duration: 30m, 12h, 90d or 2w.")]


class DefinitionFile(NamedTuple):
    """A kind of file in `config/`: where files of it stand, what one may contain, and the page that explains it.

    `choices`: keys whose values come from a table of ours (`MessageStep.channel`), with the names in it.
    """

    name: str
    files: str
    model: type[msgspec.Struct]
    page: str
    choices: Mapping[str, Iterable[str]] = MappingProxyType({})


DEFINITION_FILES = (
    DefinitionFile("lifecycle", "lifecycle.yaml", Definition, "lifecycle.md"),
    DefinitionFile("play", "plays/*.yaml", PlayFile, "plays.md", {"MessageStep.channel": CHANNELS}),
    DefinitionFile("survey", "surveys/*.yaml", Survey, "surveys.md", {"Survey.kind": SURVEY_KINDS}),
    DefinitionFile("referrals", "referrals.yaml", Referrals, "referrals.md"),
    DefinitionFile("budget", "budget.yaml", BudgetFile, "budget.md"),
    DefinitionFile("brand", "brand.yaml", Brand, "brand.md"),
)


def schema_of(topic: Topic) -> bytes:
    """The schema of this topic's messages, as its file holds it."""
    carries = _with_object(UsageEvent) if topic.message_type is UsageEvent else topic.message_type
    return _text({"$schema": _DIALECT, "title": topic.name, **msgspec.json.schema(carries)})


def definition_schema(file: DefinitionFile) -> dict[str, Any]:
    """The schema of a definition file, with a description of each object and key that the model has one for."""
    (reference,), parts = msgspec.json.schema_components([_written(file.model)], ref_template=_REF)
    described = _descriptions(file.model)
    for name, part in parts.items():
        for key, text in described.get(name, {}).items():
            if key in part.get("properties", {}):
                part["properties"][key]["description"] = text
    for struct in _structs(file.model, set()):
        if getattr(struct, "DEFAULT_KIND", False):
            parts[struct.__name__]["required"].remove(struct.__struct_config__.tag_field)
    for place, choices in file.choices.items():
        name, _, key = place.partition(".")
        parts[name]["properties"][key]["enum"] = list(choices)
    return {"$schema": _DIALECT, "title": file.files, **reference, "$defs": parts}


def _written(kind: Any) -> Any:
    """The same type as a file has it, where a duration is text: of types of ours msgspec writes no schema."""
    if isinstance(kind, type) and issubclass(kind, Duration):
        return _DURATION
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _written_struct(kind)
    if get_origin(kind) is Annotated:
        inner, *meta = get_args(kind)
        return Annotated[_written(inner), *meta]
    if get_origin(kind) in {Union, UnionType}:
        return Union[tuple(map(_written, get_args(kind)))]  # noqa: UP007  of a tuple, not of two
    if get_args(kind) and get_origin(kind) is not Literal:
        return get_origin(kind)[tuple(map(_written, get_args(kind)))]
    return kind


@cache
def _written_struct(struct: type[msgspec.Struct]) -> type[msgspec.Struct]:
    fields = [_written_field(field) for field in msgspec.structs.fields(struct)]
    config = struct.__struct_config__
    return msgspec.defstruct(
        struct.__name__,
        fields,
        namespace={"__doc__": struct.__doc__},
        frozen=True,
        kw_only=True,
        tag_field=config.tag_field,
        tag=config.tag,
        forbid_unknown_fields=config.forbid_unknown_fields,
    )


def _written_field(field: msgspec.structs.FieldInfo) -> tuple[str, Any, Any]:
    kind, name = _written(field.type), field.encode_name
    if field.default_factory is not msgspec.NODEFAULT:
        return field.name, kind, msgspec.field(default_factory=field.default_factory, name=name)
    if field.default is msgspec.NODEFAULT:
        return field.name, kind, msgspec.field(name=name)
    plain = msgspec.to_builtins(field.default, enc_hook=_duration_text)
    return field.name, kind, msgspec.field(default=msgspec.convert(plain, kind), name=name)


def _duration_text(value: Any) -> str:
    """The duration as a file has it, in the longest unit short of weeks that is whole."""
    if not isinstance(value, timedelta):
        raise NotImplementedError
    units = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
    return next(f"{value // unit}{letter}" for letter, unit in units.items() if not value % unit)


def _descriptions(model: Any) -> dict[str, dict[str, str]]:
    """Struct name -> key -> the string that follows the field in its class, or in one that the class inherits from."""
    found: dict[str, dict[str, str]] = {}
    for struct in _structs(model, set()):
        texts: dict[str, str] = {}
        for kind in reversed(struct.__mro__):
            texts |= _field_texts(kind) if issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct else {}
        keys = {field.name: field.encode_name for field in msgspec.structs.fields(struct)}
        found[struct.__name__] = {keys[name]: text for name, text in texts.items() if name in keys}
    return found


def _structs(kind: Any, seen: set[Any]) -> Iterator[type[msgspec.Struct]]:
    if kind in seen:
        return
    seen.add(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from _structs(field.type, seen)
    for inner in getattr(kind, "__args__", ()):
        yield from _structs(inner, seen)


def _field_texts(struct: type) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(struct))).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


def _with_object(event: type[UsageEvent]) -> Any:
    """The same event with its raw bytes as the object they hold: of bytes a schema can say nothing."""
    properties: tuple[str, Any, Any] = ("properties", dict[str, Any], msgspec.field(default_factory=dict))
    return msgspec.defstruct(event.__name__, [properties], bases=(event,), namespace={"__doc__": event.__doc__})


def _text(schema: Mapping[str, Any]) -> bytes:
    text = msgspec.json.encode(schema, order="sorted").replace(_INDENTED, _FLUSH)
    return msgspec.json.format(text, indent=2) + b"\n"


def schemas() -> dict[Path, bytes]:
    """Every schema: its file, and what the file holds."""
    messages = {MESSAGES / f"{topic.name}.json": schema_of(topic) for topic in TOPICS if topic.message_type is not None}
    files = {DEFINITIONS / f"{file.name}.json": _text(definition_schema(file)) for file in DEFINITION_FILES}
    return messages | files


def write(wanted: Mapping[Path, bytes]) -> None:
    """Write the files, and remove other schemas from their folders: those of topics and files that are gone."""
    for path, content in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for folder in {path.parent for path in wanted}:
        for file in folder.glob("*.json"):
            if file not in wanted:
                file.unlink()


if __name__ == "__main__":
    write(schemas())
    print(f"wrote {len(schemas())} schemas")
