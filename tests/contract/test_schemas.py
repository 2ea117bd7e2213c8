"""Do the published JSON Schemas say what the messages are?"""

from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import msgspec
import pytest

from shared.contracts.topics import TOPICS, Topic
from tests.contract.house.messages import MESSAGES
from waymark.schemas import FOLDER, schema_of, schemas, write

EVERY = [(topic, message) for topic, messages in MESSAGES.items() for message in messages]
NAMES = [type(message).__name__ for _, message in EVERY]


def check(topic: Topic, message: Any) -> bool:
    return jsonschema_rs.validator_for(msgspec.json.decode(schema_of(topic))).is_valid(message)


def test_the_schemas_in_the_repository_are_those_of_the_code() -> None:
    kept = {file.name: file.read_bytes() for file in FOLDER.iterdir()}

    assert kept == schemas(), "run: python -m waymark.schemas"


def test_there_is_an_example_of_every_kind_of_message() -> None:
    kinds = {kind for topic in TOPICS if topic.carries for kind in get_args(topic.carries) or [topic.carries]}

    assert {type(message) for _, message in EVERY} == kinds


@pytest.mark.parametrize(("topic", "message"), EVERY, ids=NAMES)
def test_a_message_comes_back_as_it_was_sent(topic: Topic, message: msgspec.Struct) -> None:
    assert msgspec.json.decode(msgspec.json.encode(message), type=topic.carries) == message


@pytest.mark.parametrize(("topic", "message"), EVERY, ids=NAMES)
def test_a_message_is_valid_by_its_topics_schema(topic: Topic, message: msgspec.Struct) -> None:
    assert check(topic, msgspec.json.decode(msgspec.json.encode(message)))


@pytest.mark.parametrize(("topic", "message"), EVERY, ids=NAMES)
def test_a_message_without_its_account_is_not_valid(topic: Topic, message: msgspec.Struct) -> None:
    plain = msgspec.json.decode(msgspec.json.encode(message))
    del plain["account"]

    assert not check(topic, plain)


def test_a_schema_of_a_topic_that_is_gone_is_removed(tmp_path: Path) -> None:
    (tmp_path / "gone.v1.json").touch()
    write(tmp_path)

    assert {file.name for file in tmp_path.iterdir()} == schemas().keys()
