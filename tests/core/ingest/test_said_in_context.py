"""What an event's context says of mail to its user goes along with the event."""

import json
from typing import Any

import pytest

from services.ingest.core.canonical import canonical_event
from shared.bus.protocol import Record


def said(context: Any, **event: Any) -> tuple[bool, str | None]:
    whole = {"type": "track", "event": "Report Shared", "userId": "ann", "messageId": "1", "context": context} | event
    found = canonical_event(Record(0, 0, 1_780_000_000_000, b"k", json.dumps(whole).encode(), b""))
    return found.no_to_mail, found.address


@pytest.mark.parametrize(
    "context",
    [
        {"traits": {"email": "ann@acme.test", "unsubscribed": "true"}},
        {"traits": {"email": "ann@acme.test", "custom": {"hs_email_optout": True}}},
        {
            "traits": {"email": "ann@acme.test"},
            "consent": {"categoryPreferences": {"Analytics": True, "Marketing": False}},
        },
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        {},
        {"type": "page", "name": "Home"},
        {"type": "group", "groupId": "acme"},
        {"type": "identify", "traits": {"a": 1}},
    ],
)
def test_a_no_goes_along_with_any_call(context: dict[str, Any], call: dict[str, Any]) -> None:
    assert said(context, **call) == (True, "ann@acme.test")


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"traits": None, "consent": None},
        {"traits": {"email": "ann@acme.test", "unsubscribed": False}},
        {"consent": {"categoryPreferences": {"Advertising": False, "Analytics": False}}},
        {"traits": [], "consent": "yes"},
        {"traits": "unsubscribed", "consent": 0.5},
        {"traits": {"unsubscribed": []}},
    ],
)
def test_nothing_goes_along_where_nothing_is_said(context: dict[str, Any]) -> None:
    assert said(context) == (False, None)


def test_the_address_goes_along_with_an_event_about_mail() -> None:
    assert said({"traits": {"email": "ann@acme.test"}}, event="Email Bounced") == (False, "ann@acme.test")


def test_half_characters_cost_no_no() -> None:
    assert said({"traits": {"name": "\ud83d", "unsubscribed": True}}) == (True, None)
