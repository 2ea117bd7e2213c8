"""JSON Schemas: of messages and of definition files, both what the code takes."""

from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import msgspec
import pytest

from shared.contracts.topics import TOPICS, Topic
from shared.definitions import load_plain
from tests.contract.house.files import ROOT
from tests.contract.house.messages import MESSAGES
from waymark.schemas import DEFINITION_FILES, DEFINITIONS, DefinitionFile, definition_schema, schema_of, schemas, write

EVERY = [(topic, message) for topic, messages in MESSAGES.items() for message in messages]
NAMES = [type(message).__name__ for _, message in EVERY]
CONFIG = ROOT / "config"
SHIPPED = [(kind, file) for kind in DEFINITION_FILES for file in sorted(CONFIG.glob(kind.files))]
FILES = [str(file.relative_to(CONFIG)) for _, file in SHIPPED]
_POINTER = "# yaml-language-server: $schema="


def check(topic: Topic, message: Any) -> bool:
    return jsonschema_rs.validator_for(msgspec.json.decode(schema_of(topic))).is_valid(message)


def test_the_schemas_in_the_repository_are_those_of_the_code() -> None:
    wanted = schemas()
    found = {file: file.read_bytes() for folder in {path.parent for path in wanted} for file in folder.iterdir()}

    assert found == wanted, "run: make reference"


def test_there_is_an_example_of_every_kind_of_message() -> None:
    kinds = {
        kind for topic in TOPICS if topic.message_type for kind in get_args(topic.message_type) or [topic.message_type]
    }

    assert {type(message) for _, message in EVERY} == kinds


@pytest.mark.parametrize(("topic", "message"), EVERY, ids=NAMES)
def test_a_message_comes_back_as_it_was_sent(topic: Topic, message: msgspec.Struct) -> None:
    assert msgspec.json.decode(msgspec.json.encode(message), type=topic.message_type) == message


@pytest.mark.parametrize(("topic", "message"), EVERY, ids=NAMES)
def test_a_message_is_valid_by_its_topics_schema(topic: Topic, message: msgspec.Struct) -> None:
    assert check(topic, msgspec.json.decode(msgspec.json.encode(message)))


@pytest.mark.parametrize(("topic", "message"), EVERY, ids=NAMES)
def test_a_message_without_its_account_is_not_valid(topic: Topic, message: msgspec.Struct) -> None:
    plain = msgspec.json.decode(msgspec.json.encode(message))
    del plain["account"]

    assert not check(topic, plain)


def test_a_schema_of_something_that_is_gone_is_removed(tmp_path: Path) -> None:
    (tmp_path / "gone.v1.json").touch()
    write({tmp_path / "here.v1.json": b"{}"})

    assert {file.name for file in tmp_path.iterdir()} == {"here.v1.json"}


def test_every_shipped_definition_file_has_a_schema() -> None:
    described = {file for _, file in SHIPPED}

    assert described == set(CONFIG.rglob("*.yaml"))


@pytest.mark.parametrize(("kind", "file"), SHIPPED, ids=FILES)
def test_a_shipped_definition_file_names_its_schema_and_is_valid_by_it(kind: DefinitionFile, file: Path) -> None:
    last = file.read_text("utf8").splitlines()[
        -1
    ]  # the last line: a mistake is told with its line, and people cite them

    assert (file.parent / last.removeprefix(_POINTER)).resolve() == DEFINITIONS / f"{kind.name}.json"
    assert [error.message for error in _validator(kind).iter_errors(_as_json(file))] == []


@pytest.mark.parametrize("kind", DEFINITION_FILES, ids=[kind.name for kind in DEFINITION_FILES])
def test_an_unknown_key_is_not_valid(kind: DefinitionFile) -> None:
    file = next(file for found, file in SHIPPED if found == kind)

    assert not _validator(kind).is_valid(_as_json(file) | {"no_such_key": 1})


def test_the_string_after_a_field_is_its_keys_description() -> None:
    class Inner(msgspec.Struct, frozen=True):
        from_: str = msgspec.field(name="from")
        """Where it begins."""
        to: str = ""

    class Outer(Inner, frozen=True):
        inner: dict[str, list[Inner]] = msgspec.field(default_factory=dict)
        """What is inside."""

    parts = definition_schema(DefinitionFile("outer", "outer.yaml", Outer, "outer.md"))["$defs"]

    assert parts["Outer"]["properties"]["inner"]["description"] == "What is inside."
    assert parts["Outer"]["properties"]["from"]["description"] == "Where it begins."
    assert parts["Inner"]["properties"]["from"]["description"] == "Where it begins."
    assert "description" not in parts["Inner"]["properties"]["to"]


def _validator(kind: DefinitionFile) -> Any:
    return jsonschema_rs.validator_for(definition_schema(kind))


def _as_json(file: Path) -> Any:
    """The file's values as an editor validates them: keys are text."""
    return msgspec.json.decode(msgspec.json.encode(load_plain(file)))
