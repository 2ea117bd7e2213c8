"""Reference generator: the tables of docs/reference/ that are written from schemas, settings, commands and routes.

`make reference` (`python -m tests.docs.reference`) writes the JSON Schemas and every block between `<!-- generated: NAME -->`
and `<!-- end -->` anew. What stands around the blocks is written by hand.
"""

import asyncio
import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import typer
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings
from typer.core import TyperArgument, TyperGroup

from services.notify.rendering import FILTERS
from shared.clock import SystemClock
from shared.settings import Settings
from tests.contract.house.files import ROOT, modules
from tests.docs.raised import DEAD_LETTER, Raised, raised
from waymark.assembly import assembled
from waymark.cli import app as command_line
from waymark.schemas import DEFINITION_FILES, DefinitionFile, definition_schema, schemas, write

FOLDER = ROOT / "docs" / "reference"
SERVICES = ("ingest", "lifecycle", "notify", "advocacy")
_BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
Schema = Mapping[str, Any]


class Route(NamedTuple):
    """One REST resource: how it is called, what it does and takes."""

    method: str
    path: str
    meaning: str
    parameters: str


class Product(NamedTuple):
    """What the running services offer: routes by service, and the families of their metrics."""

    routes: dict[str, list[Route]]
    metrics: list[tuple[str, str, str]]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar in a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def settings_table(settings: type[BaseSettings] = Settings) -> str:
    return table(
        ("variable", "default", "values", "meaning"),
        (
            (
                f"`WAYMARK_{name.upper()}`",
                _default(field.default),
                _values(field.annotation, field.metadata),
                field.description or "",
            )
            for name, field in settings.model_fields.items()
        ),
    )


def _default(value: Any) -> str:
    return "" if value is None or value is PydanticUndefined else "empty" if value == "" else f"`{value}`"


def _values(annotation: Any, metadata: Sequence[Any]) -> str:
    choices = [str(choice) for choice in getattr(annotation, "__args__", ()) if isinstance(choice, str)]
    bounds = {name: getattr(item, name) for item in metadata for name in ("ge", "le") if hasattr(item, name)}
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    return f"{bounds['ge']} to {bounds['le']}" if bounds else ""


def commands() -> str:
    """Every command with its arguments and options."""
    group = typer.main.get_command(command_line)
    if not isinstance(group, TyperGroup):
        raise TypeError("the command line is a group of commands")
    return "\n".join(_command(name, command) for name, command in _named(group))


def _named(group: TyperGroup, before: str = "") -> Iterator[tuple[str, Any]]:
    """Each command with its name; a group's own are named after it."""
    for name, command in sorted(group.commands.items()):
        yield before + name, command
        if isinstance(command, TyperGroup):
            yield from _named(command, f"{before}{name} ")


def _command(name: str, command: Any) -> str:
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    rows = [(_called(parameter), _by_default(parameter), getattr(parameter, "help", None) or "") for parameter in shown]
    text = f"### `waymark {name}`\n\n{command.help}\n"
    return f"{text}\n{table(('option', 'default', 'meaning'), rows)}" if rows else text


def _called(parameter: Any) -> str:
    if isinstance(parameter, TyperArgument):
        return f"`{(parameter.name or '').upper()}`"
    return ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))


def _by_default(parameter: Any) -> str:
    value = parameter.default
    return "" if value is None or callable(value) or isinstance(value, bool) else f"`{value}`"


def errors(found: Iterable[Raised], *, dead_letters: bool) -> str:
    """Codes with their status and what is said with them. `refused` is told by the command line, not by REST."""
    grouped: dict[tuple[str, int], list[str]] = defaultdict(list)
    for error in sorted(found):
        if error.code not in {"refused", "..."} and (error.status == DEAD_LETTER) == dead_letters:
            grouped[error.code.replace("...", "*"), error.status].append(error.message)
    rows = (
        (f"`{code}`", str(status), "<br>".join(text for text in messages if text != "..."))
        for (code, status), messages in grouped.items()
    )
    if dead_letters:
        return table(("code", "meaning"), ((code, meaning) for code, _, meaning in rows))
    return table(("code", "status", "message"), rows)


def keys_of(file: DefinitionFile) -> str:
    """The keys of a definition file: the whole file first, then each object in it in the order of its mention."""
    schema = definition_schema(file)
    titles = {_name(schema["$ref"]): f"The file `{file.files}`"}
    return "\n".join(_object(titles.get(part, part), schema["$defs"][part]) for part in _mentioned(schema))


def _mentioned(schema: Schema) -> list[str]:
    """Names of the objects reachable from the whole, nearest first, in the order of the model."""
    waiting, found = [_name(schema["$ref"])], list[str]()
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting += [_name(reference) for reference in _references(schema["$defs"][name])]
    return found


def _references(part: Any) -> Iterator[str]:
    match part:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for key, inner in part.items():
                if key != "discriminator":
                    yield from _references(inner)
        case list():
            for inner in part:
                yield from _references(inner)
        case _:
            pass  # text and numbers refer to nothing


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _object(title: str, part: Schema) -> str:
    described = " ".join(str(part.get("description", "")).split())
    needed = part.get("required", ())
    rows = [
        (f"`{key}`", _kind(value), "required" if key in needed else _written(value.get("default")), _meaning(value))
        for key, value in part.get("properties", {}).items()
    ]
    return f"### {title}\n\n{described}\n\n{table(('key', 'value', 'default', 'meaning'), rows)}"


def _meaning(value: Schema) -> str:
    return " ".join(value.get("description", "").split()) if value.get("pattern") != _DURATION else ""


_DURATION = "^\\d{1,4}[mhdw]$"


def _kind(value: Schema) -> str:
    """What may stand there, as a reader of YAML would say it."""
    if value.get("type") in {"array", "object"}:
        return _many(value)
    match value:
        case {"$ref": str(reference)}:
            text = f"[{_name(reference)}](#{_name(reference).lower()})"
        case {"anyOf": list(choices)}:
            text = " or ".join(dict.fromkeys(_kind(one) for one in choices if one != {"type": "null"}))
        case {"enum": list(choices)}:
            text = ", ".join(f"`{choice}`" for choice in choices)
        case {"pattern": pattern} if pattern == _DURATION:
            text = "duration"
        case {"type": str(kind), "minimum": low, "maximum": high}:
            text = f"{kind} from {low:g} to {high:g}"
        case _:
            named = str(value.get("type", "any value"))
            text = {"string": "text", "boolean": "true or false"}.get(named, named)
    return text


def _many(value: Schema) -> str:
    inner = value.get("items") or value.get("additionalProperties")
    named = _kind(inner) if isinstance(inner, dict) else "any value"
    return f"list of {named}" if value["type"] == "array" else f"mapping of names to {named}"


def _written(default: Any) -> str:
    """A default as YAML has it; that of an object is told with its keys."""
    return "" if default in (None, "", []) or isinstance(default, dict) else f"`{json.dumps(default).strip(chr(34))}`"


def template_filters() -> str:
    rows = ((f"`{name}`", " ".join((filter_.__doc__ or "").split())) for name, filter_ in sorted(FILTERS.items()))
    return table(("filter", "meaning"), rows)


def metrics() -> str:
    rows = ((f"`{name}`", kind, meaning) for name, kind, meaning in product().metrics)
    return table(("metric", "type", "meaning"), rows)


def routes(service: str) -> str:
    rows = [(f"`{route.method} {route.path}`", route.meaning, route.parameters) for route in product().routes[service]]
    return table(("resource", "meaning", "parameters"), rows)


@cache
def product() -> Product:
    """All services, assembled on an empty folder for a moment."""
    return asyncio.run(_product())


async def _product() -> Product:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), config=ROOT / "config")
        async with assembled(settings, [*SERVICES, "console"], SystemClock()) as assembly:
            apps = {name: service.app for name, service in assembly.services.items()}
            exported = [await _exported(app) for app in apps.values()]
    families = {family.name: family for text in exported for family in text_string_to_metric_families(text)}
    shown = [(_exposed(family), family.type, family.documentation) for family in families.values()]
    return Product({name: list(_routes(name, apps[name])) for name in SERVICES}, sorted(shown))


def _exposed(family: Any) -> str:
    """A counter's family is named without the `_total` that its samples have."""
    return f"{family.name}_total" if family.type == "counter" else str(family.name)


async def _exported(app: FastAPI) -> str:
    """What `/metrics` of this application answers."""
    sent: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": [], "root_path": ""}
    await app(scope | {"http_version": "1.1", "scheme": "http", "raw_path": b"/metrics"}, receive, send)
    return b"".join(sent).decode()


def _routes(service: str, app: FastAPI) -> Iterator[Route]:
    description = app.openapi()
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            meaning = " ".join(str(operation.get("description", "")).split())
            yield Route(
                method.upper(),
                f"/{service}{path}",
                meaning,
                _parameters(operation, description["components"]["schemas"]),
            )


def _parameters(operation: Schema, parts: Schema) -> str:
    """Names of query parameters, then of the fields of the body."""
    named = [f"`{parameter['name']}`" for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
    content = operation.get("requestBody", {}).get("content", {})
    bodies = [_name(body["schema"]["$ref"]) for body in content.values() if "$ref" in body.get("schema", {})]
    fields = [f"`{field}`" for body in bodies for field in parts[body].get("properties", ())]
    return ", ".join(named + ([f"body: {', '.join(fields)}"] if fields else []))


_BEHIND_REST = [path for path in modules("services", "shared", "waymark") if path.parts[:2] != ("shared", "bus")]
"""Where errors that clients see are raised. Of the log's own they see that it does not answer."""

BLOCKS: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "commands": commands,
    "errors": lambda: errors(raised(_BEHIND_REST), dead_letters=False),
    "dead-letters": lambda: errors(raised(), dead_letters=True),
    "metrics": metrics,
    "filters": template_filters,
    **{f"keys-{file.name}": partial(keys_of, file) for file in DEFINITION_FILES},
    **{f"routes-{name}": partial(routes, name) for name in SERVICES},
}
"""Every generated block by its name. Each stands in exactly one page of the reference."""


def fresh(page: str, blocks: Mapping[str, Callable[[], str]] = BLOCKS) -> str:
    """The page with its blocks written anew. Raises KeyError for a block that nothing generates."""
    return _BLOCK.sub(lambda match: f"{match[1]}\n{blocks[match[2]]()}\n{match[3]}", page)


def blocks_of(page: str) -> list[str]:
    return [match[2] for match in _BLOCK.finditer(page)]


def main() -> None:
    write(schemas())
    for page in sorted(FOLDER.glob("*.md")):
        page.write_text(fresh(page.read_text("utf8")), "utf8")
    sys.stdout.write(f"wrote the schemas, and {len(BLOCKS)} blocks of docs/reference\n")


if __name__ == "__main__":
    main()
