"""What do messages look like to a program that is not Python? `python -m waymark.schemas` writes a JSON Schema a topic."""

from pathlib import Path
from typing import Any

import msgspec

from shared import contracts
from shared.contracts.topics import TOPICS, Topic
from shared.contracts.usage import UsageEvent

FOLDER = Path(contracts.__file__).parent / "schemas"
_INDENTED, _FLUSH = rb"\n    ", rb"\n"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _with_object(event: type[UsageEvent]) -> Any:
    """The same event with its raw bytes as the object they hold: of bytes a schema can say nothing."""
    properties: tuple[str, Any, Any] = ("properties", dict[str, Any], msgspec.field(default_factory=dict))
    return msgspec.defstruct(event.__name__, [properties], bases=(event,), namespace={"__doc__": event.__doc__})


def schema_of(topic: Topic) -> bytes:
    """The schema of this topic's messages, as its file holds it."""
    carries = _with_object(UsageEvent) if topic.carries is UsageEvent else topic.carries
    schema = {"$schema": _DIALECT, "title": topic.name, **msgspec.json.schema(carries)}
    text = msgspec.json.encode(schema, order="sorted").replace(_INDENTED, _FLUSH)
    return msgspec.json.format(text, indent=2) + b"\n"


def schemas() -> dict[str, bytes]:
    """File name -> content, for every topic that carries messages of ours."""
    return {f"{topic.name}.json": schema_of(topic) for topic in TOPICS if topic.carries is not None}


def write(folder: Path) -> None:
    """Write the files, and remove those of topics that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = schemas()
    for name, content in wanted.items():
        (folder / name).write_bytes(content)
    for file in folder.glob("*.json"):
        if file.name not in wanted:
            file.unlink()


if __name__ == "__main__":
    write(FOLDER)
    print(f"wrote {', '.join(schemas())} to {FOLDER}")
