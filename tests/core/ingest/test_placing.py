"""Whose event is it?"""

from datetime import timedelta
from typing import Any

from services.ingest.core.canonical import Draft
from services.ingest.core.placing import Home, at_one, placed, unsure
from tests.core.ingest.make import drafted
from tests.make import NOON

HOUR = timedelta(hours=1)
ACME = Home("acme", NOON - HOUR)


def event(account: str | None = None, user: str = "ann", ago: timedelta = timedelta(0), **more: Any) -> Draft:
    return drafted(groupId=account, userId=user, timestamp=(NOON - ago).isoformat(), **more)


def test_an_event_that_names_no_account_belongs_to_its_users() -> None:
    found = placed([event()], {"ann": ACME})
    assert [one.account for one in found.ready] == ["acme"]
    assert found.moved == {}


def test_an_event_of_a_user_without_account_waits() -> None:
    waiting = event()
    assert placed([waiting], {}) == ([], [waiting], {})


def test_what_an_event_says_of_its_user_holds_for_the_next() -> None:
    found = placed([event(), event("acme"), event()], {})
    assert ([one.account for one in found.ready], len(found.homeless)) == (["acme", "acme"], 1)
    assert found.moved == {"ann": Home("acme", NOON)}


def test_a_later_event_moves_its_user_and_an_older_one_does_not() -> None:
    assert placed([event("beta")], {"ann": ACME}).moved == {"ann": Home("beta", NOON)}
    late = placed([event("beta", ago=2 * HOUR), event()], {"ann": ACME})
    assert late.moved == {}
    assert [one.account for one in late.ready] == ["beta", "acme"]


def test_an_alias_takes_the_former_user_along() -> None:
    found = placed([event(type="alias", previousId="anon"), event(user="anon")], {"ann": ACME})
    assert found.moved == {"anon": Home("acme", NOON)}
    assert [one.account for one in found.ready] == ["acme", "acme"]


def test_a_date_in_the_future_does_not_hold_a_user_for_ever() -> None:
    assert placed([event("acme", ago=-1000 * HOUR, history="import")], {}).moved["ann"].since == NOON


def test_only_users_who_may_move_or_wait_are_in_doubt() -> None:
    known = {"ann": ACME}
    assert unsure([event(), event("acme"), drafted(userId=None, groupId="acme")], known) == set()
    assert unsure([event("beta")], known) == {"ann"}
    assert unsure([event(user="bob")], known) == {"bob"}
    assert unsure([event(type="alias", previousId="anon")], known) == {"anon"}


def test_users_whom_all_events_name_with_one_account_are_at_one() -> None:
    assert at_one([event("acme"), event("acme"), event("beta", user="bob")]) == {"ann": "acme", "bob": "beta"}
    assert at_one([event("acme"), event("beta")]) == {}
    assert at_one([event("acme"), event()]) == {}
    assert at_one([event(), event("acme")]) == {}
    assert at_one([event("acme", user="anon"), event("acme", type="alias", previousId="anon")]) == {"ann": "acme"}
