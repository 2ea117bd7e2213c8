"""What earlier versions stored is read as what it meant, and nothing is dropped in silence."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from services.notify.core.delivery import Decision, NewerDecision, decode_decision, encode_decision
from services.notify.core.state import (
    Account,
    AccountView,
    BudgetEntry,
    Contact,
    MetricSnapshot,
    OpenTask,
    PendingStep,
    Request,
    Run,
)
from services.notify.store import LAYOUTS
from shared.db.layouts import NewerLayout

AT = datetime(2025, 3, 3, 12, tzinfo=UTC)

LAYOUT_1: dict[str, Any] = {
    "id": "acme",
    "clock": AT,
    "seq": 7,
    "held": True,
    "view": {"stage": "adoption", "flags": ["at_risk"], "marks": [{"at": AT, "metrics": {"seats": 3.0}}]},
    "contacts": {"ann": {"email": "ann@acme.test", "role": "admin"}},
    "refused": {"ann": ["nps"]},
    "runs": [
        {
            "play": "nps",
            "occurrence": "r1",
            "started_at": AT,
            "items": [{"step": "ask", "due": AT, "expires_at": AT, "user": "ann", "waiting": True}],
            "ask": {"user": "ann", "link": "https://x.test", "values": {"reward": 20}},
        },
        {"play": "welcome", "occurrence": "m1", "started_at": AT, "items": []},
    ],
    "contacted": {"welcome": AT},
    "spent": [{"delivery": "d1", "user": "ann", "class_": "survey", "topic": "nps", "at": AT}],
    "tasks": {"save": {"delivery": "d2", "at": AT, "history": True}},
    "requests": ["r1"],
}

ACCOUNT = Account(
    id="acme",
    clock=AT,
    seq=7,
    replaying=True,
    view=AccountView(stage="adoption", flags=["at_risk"], snapshots=[MetricSnapshot(AT, {"seats": 3.0})]),
    contacts={"ann": Contact(email="ann@acme.test", role="admin")},
    declined_topics={"ann": ["nps"]},
    runs=[
        Run(
            "nps",
            "r1",
            AT,
            [PendingStep("ask", AT, AT, "ann", awaiting_contact=True)],
            Request("ann", "https://x.test", {"reward": 20}),
        ),
        Run("welcome", "m1", AT, []),
    ],
    last_contacted={"welcome": AT},
    budget_entries=[BudgetEntry("d1", "ann", "survey", "nps", AT)],
    open_tasks={"save": OpenTask("d2", AT, history=True)},
    request_ids=["r1"],
)


def test_an_account_of_layout_1_is_read_with_every_renamed_key():
    assert LAYOUTS.decode(msgspec.msgpack.encode(LAYOUT_1)) == ACCOUNT


def test_an_account_of_layout_1_of_which_little_is_known_is_read():
    assert LAYOUTS.decode(msgspec.msgpack.encode({"id": "acme"})) == Account("acme")


def test_what_is_written_is_read_back():
    assert LAYOUTS.decode(LAYOUTS.encode(ACCOUNT)) == ACCOUNT


@pytest.mark.parametrize("name", ["held", "a_field_of_tomorrow"])
def test_a_name_that_this_layout_does_not_have_is_an_error(name: str):
    blob = LAYOUTS.encode(Account("acme"))
    wrong = blob[:2] + msgspec.msgpack.encode({"id": "acme", name: True})
    with pytest.raises(msgspec.ValidationError, match=name):
        LAYOUTS.decode(wrong)


def test_a_newer_layout_is_refused():
    blob = LAYOUTS.encode(ACCOUNT)
    with pytest.raises(NewerLayout):
        LAYOUTS.decode(blob[:1] + bytes((blob[1] + 1,)) + blob[2:])


DECISION = Decision(
    id="d1",
    account="acme",
    play="nps",
    version="v",
    occurrence="r1",
    step="ask",
    channel="email",
    outreach_class="survey",
    topic="nps",
    template="ask",
    subject="",
    user="ann",
    at=AT,
    expires_at=AT,
    send=True,
    values={"first_name": "Ann", "seats": 3},
)


def _plain() -> dict[str, Any]:
    return dict(msgspec.json.decode(encode_decision(DECISION)))


def test_a_decision_of_layout_1_is_read_with_its_values():
    plain = _plain()
    del plain["layout"]
    plain["facts"] = plain.pop("values")
    assert decode_decision(json.dumps(plain).encode()) == DECISION


def test_a_decision_says_its_layout_and_is_read_back():
    assert _plain()["layout"] == 2
    assert decode_decision(encode_decision(DECISION)) == DECISION


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"layout": 3}, NewerDecision),
        ({"facts": {}}, msgspec.ValidationError),
        ({"a_field_of_tomorrow": 1}, msgspec.ValidationError),
    ],
)
def test_a_decision_that_this_version_cannot_read_whole_is_an_error(change: dict[str, Any], error: type[Exception]):
    with pytest.raises(error):
        decode_decision(json.dumps(_plain() | change).encode())
