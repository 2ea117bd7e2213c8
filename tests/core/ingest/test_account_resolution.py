"""Account resolution: the account of an event, by itself or by its user's membership."""

from datetime import timedelta
from typing import Any

from services.ingest.core.account_resolution import Membership, resolve, unanimous_accounts, users_to_lock
from services.ingest.core.canonical import CanonicalEvent
from tests.core.ingest.make import event_of
from tests.make import NOON

HOUR = timedelta(hours=1)
ACME = Membership("acme", NOON - HOUR)
BROWSER = {"trust": "browser"}
PLACED = Membership("acme", NOON - HOUR, trusted=False)


def event(account: str | None = None, user: str = "ann", ago: timedelta = timedelta(0), **more: Any) -> CanonicalEvent:
    return event_of(groupId=account, userId=user, timestamp=(NOON - ago).isoformat(), **more)


def test_an_event_that_names_no_account_belongs_to_its_users() -> None:
    found = resolve([event()], {"ann": ACME})
    assert [one.account for one in found.resolved] == ["acme"]
    assert found.changed == {}


def test_an_event_of_a_user_without_account_waits() -> None:
    waiting = event()
    assert resolve([waiting], {}) == ([], [waiting], {})


def test_what_an_event_says_of_its_user_holds_for_the_next() -> None:
    found = resolve([event(), event("acme"), event()], {})
    assert ([one.account for one in found.resolved], len(found.unresolved)) == (["acme", "acme"], 1)
    assert found.changed == {"ann": Membership("acme", NOON)}


def test_a_later_event_moves_its_user_and_an_older_one_does_not() -> None:
    assert resolve([event("beta")], {"ann": ACME}).changed == {"ann": Membership("beta", NOON)}
    late = resolve([event("beta", ago=2 * HOUR), event()], {"ann": ACME})
    assert late.changed == {}
    assert [one.account for one in late.resolved] == ["beta", "acme"]


def test_an_alias_takes_the_former_user_along() -> None:
    found = resolve([event(type="alias", previousId="anon"), event(user="anon")], {"ann": ACME})
    assert found.changed == {"anon": Membership("acme", NOON)}
    assert [one.account for one in found.resolved] == ["acme", "acme"]


def test_a_date_in_the_future_does_not_hold_a_user_for_ever() -> None:
    assert resolve([event("acme", ago=-1000 * HOUR, history="import")], {}).changed["ann"].since == NOON


def test_only_users_who_may_move_or_wait_are_in_doubt() -> None:
    known = {"ann": ACME}
    assert users_to_lock([event(), event("acme"), event_of(userId=None, groupId="acme")], known) == set()
    assert users_to_lock([event("beta")], known) == {"ann"}
    assert users_to_lock([event(user="bob")], known) == {"bob"}
    assert users_to_lock([event(type="alias", previousId="anon")], known) == {"anon"}


def test_users_whom_all_events_name_with_one_account_are_at_one() -> None:
    assert unanimous_accounts([event("acme"), event("acme"), event("beta", user="bob")]) == {
        "ann": "acme",
        "bob": "beta",
    }
    assert unanimous_accounts([event("acme"), event("beta")]) == {}
    assert unanimous_accounts([event("acme"), event()]) == {}
    assert unanimous_accounts([event(), event("acme")]) == {}
    assert unanimous_accounts([event("acme", user="anon"), event("acme", type="alias", previousId="anon")]) == {
        "ann": "acme"
    }


def test_a_browser_places_a_user_who_has_no_account_and_moves_none() -> None:
    assert resolve([event("acme", meta=BROWSER)], {}).changed == {"ann": Membership("acme", NOON, trusted=False)}
    for known in (ACME, PLACED):
        found = resolve([event("beta", meta=BROWSER), event(meta=BROWSER)], {"ann": known})
        assert found.changed == {}
        assert [(one.account, one.claims) for one in found.resolved] == [("beta", ("membership",)), ("acme", ())]
        assert users_to_lock([event("beta", meta=BROWSER)], {"ann": known}) == set()


def test_a_browsers_alias_takes_nobody_along_who_belongs_elsewhere() -> None:
    alias = event(type="alias", previousId="root", meta=BROWSER)
    found = resolve([alias], {"ann": ACME, "root": Membership("beta", NOON)})
    assert (found.changed, [one.claims for one in found.resolved]) == ({}, [("membership",)])
    assert resolve([alias], {"ann": ACME}).changed == {"root": Membership("acme", NOON, trusted=False)}


def test_a_servers_word_replaces_a_browsers_whichever_is_later() -> None:
    assert resolve([event("acme")], {"ann": PLACED}).changed == {"ann": Membership("acme", NOON)}
    earlier = event("beta", ago=5 * HOUR)
    assert resolve([earlier], {"ann": PLACED}).changed == {"ann": Membership("beta", NOON - 5 * HOUR)}
    assert users_to_lock([event("acme")], {"ann": PLACED}) == {"ann"}


def test_an_event_that_names_no_account_is_no_more_trusted_than_who_placed_its_user() -> None:
    told = [event(), event(history="import")]
    assert [(one.trust, one.claims) for one in resolve(told, {"ann": ACME}).resolved] == [
        ("server", ()),
        ("import", ()),
    ]
    lowered = resolve(told, {"ann": PLACED}).resolved
    assert [(one.account, one.trust, one.history, one.claims) for one in lowered] == [
        ("acme", "browser", None, ("account",))
    ] * 2
