"""Contacts: who can be written to, and who has left."""

from datetime import timedelta

import pytest

from services.lifecycle.core.feedback import as_event
from shared.contracts.lifecycle import ContactChanged
from shared.contracts.outreach import ConsentChanged
from tests.core.lifecycle.make import START, Scenario, default_definition


def test_a_person_is_told_when_known_and_again_only_when_something_changed() -> None:
    scenario = Scenario(default_definition())
    for _ in range(2):
        scenario.identify(0, "ann", email="ann@acme.example", role="champion")
    scenario.identify(1, "ann", role="admin")
    assert [(one.email, one.role) for one in scenario.all(ContactChanged)] == [
        ("ann@acme.example", "champion"),
        ("ann@acme.example", "admin"),
    ]


def test_who_removes_somebody_is_not_the_one_who_left() -> None:
    scenario = Scenario(default_definition())
    for person in ("ann", "boss"):
        scenario.identify(0, person, email=f"{person}@acme.example")
    scenario.track(1, "User Removed", "boss", user_id="ann")
    assert [one.user for one in scenario.all(ContactChanged, gone=True)] == ["ann"]
    assert list(scenario.here.contacts) == ["boss"]


def test_without_a_name_in_it_the_event_tells_of_its_own_user() -> None:
    scenario = Scenario(default_definition())
    scenario.identify(0, "ann", email="ann@acme.example")
    scenario.track(1, "user_deactivated", "ann")
    assert [one.user for one in scenario.all(ContactChanged, gone=True)] == ["ann"]


@pytest.mark.parametrize("said", [True, "true", "TRUE", "1", 1, "yes", "on", "maybe", "2024-05-01"])
def test_a_no_to_mail_is_a_no_however_it_is_written(said: object) -> None:
    scenario = Scenario(default_definition())
    scenario.identify(0, "ann", email="ann@acme.example", unsubscribed=said)
    assert [one.unsubscribed for one in scenario.all(ContactChanged)] == [True]


@pytest.mark.parametrize("said", ["true", 1, "yes", None, "", [], {}])
def test_a_no_to_mail_stays_when_it_is_repeated_as_text_or_nothing_is_said(said: object) -> None:
    scenario = Scenario(default_definition())
    scenario.identify(0, "ann", email="ann@acme.example", unsubscribed=True)
    assert scenario.identify(1, "ann", email="ann@acme.example", unsubscribed=said) == []
    assert scenario.here.contacts["ann"].unsubscribed


@pytest.mark.parametrize("said", [False, "false", "FALSE", 0, "0", "no", "subscribed"])
def test_only_a_clear_word_takes_a_no_to_mail_back(said: object) -> None:
    scenario = Scenario(default_definition())
    scenario.identify(0, "ann", email="ann@acme.example", unsubscribed=True)
    scenario.identify(1, "ann", unsubscribed=said)
    assert not scenario.here.contacts["ann"].unsubscribed


def test_who_told_our_page_yes_is_not_said_no_for_when_something_else_of_them_changes_and_may_say_no_again() -> None:
    scenario = Scenario(default_definition())
    scenario.identify(0, "ann", email="ann@acme.example", unsubscribed=True)
    at = START + timedelta(days=1)
    said = as_event(ConsentChanged(id="yes", account="acme", at=at, decided_at=at, user="ann", topic="*", granted=True))
    assert said is not None
    scenario.fold(said)
    scenario.identify(2, "ann", role="admin")
    scenario.identify(3, "ann", unsubscribed=True)
    told = [(one.unsubscribed, one.resubscribed) for one in scenario.all(ContactChanged)]
    assert told == [(True, False), (False, False), (False, False), (True, False)]
