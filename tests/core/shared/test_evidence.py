"""Evidence of any age is read with the keys of today."""

from typing import Any

import msgspec
import pytest

from shared.contracts.evidence import Clause, upcast
from shared.contracts.topics import LIFECYCLE, decoder
from tests.contract.house.messages import MESSAGES

WITH_CLAUSES = [message for message in MESSAGES[LIFECYCLE] if getattr(message, "evidence", None)]


def as_written_before(message: Any) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(message))
    for clause in plain["evidence"]["clauses"]:
        clause["held"] = clause.pop("satisfied")
    return plain


@pytest.mark.parametrize("message", WITH_CLAUSES, ids=lambda message: type(message).__name__)
def test_a_message_whose_clauses_say_held_is_read_as_satisfied(message: Any) -> None:
    old = as_written_before(message)
    assert decoder(LIFECYCLE)(msgspec.json.encode(old)) == message
    assert upcast(old) == msgspec.json.decode(msgspec.json.encode(message))


def test_what_is_no_message_of_ours_is_refused_as_before() -> None:
    for value in (b"[]", b"{}", b'{"kind": "stage_changed", "evidence": {"clauses": ["?"]}}', b"not json"):
        with pytest.raises(msgspec.DecodeError):
            decoder(LIFECYCLE)(value)


def test_a_plain_condition_is_written_with_its_threshold_even_when_it_has_none() -> None:
    assert msgspec.json.encode(Clause("at_risk", {"at_risk": True}, satisfied=True)) == (
        b'{"text":"at_risk","values":{"at_risk":true},"satisfied":true,"threshold":null}'
    )
