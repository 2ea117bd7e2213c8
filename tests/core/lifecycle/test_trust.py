"""What a browser says is believed as behaviour, and moves nothing that only the company may say."""

from pathlib import Path
from typing import Any

import pytest

from services.lifecycle.core import contacts
from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.evaluation import UntrustedClaim
from services.lifecycle.core.fold import fold
from services.lifecycle.core.metrics.traits import MAX_TRAITS
from services.lifecycle.core.metrics.windows import MAX_BROWSER_AMOUNT
from services.lifecycle.core.state import begin
from services.lifecycle.layouts import LAYOUTS
from shared.contracts.lifecycle import ClockAdvanced, ContactChanged, FactObserved, LifecycleMessage
from shared.contracts.usage import HISTORY_ENDED, UsageEvent
from shared.definitions import DefinitionError
from tests.core.lifecycle.make import DECIDED, Scenario, default_definition, definition_from

RULES = """
events:
  use: {match: ["used", "page:*"]}
  paid: {match: ["paid", "page:/paid*"], trusted: true}
  urgent: {match: ["paid"], where: "priority == 'urgent'", trusted: true}
  signed_up: {match: ["signed_up"], sets: {plan: plan, name: company}}
metrics:
  uses: {kind: count, of: use, days: 28}
  days_since_use: {kind: days_since, of: use}
  payments: {kind: count, of: paid, days: 28}
  mrr: {kind: trait, of: mrr, as: number}
milestones: {customer: {of: paid}}
stages: {trial: {}, paying: {}}
edges: [{from: trial, to: paying, when: [payments >= 1], reason: "Paid."}]
"""


class Told(Scenario):
    """One account of which browsers and servers tell; `claims` is what was not believed."""

    def __init__(self, compiled: CompiledDefinition) -> None:
        super().__init__(compiled)
        self.claims: list[UntrustedClaim] = []

    def fold(self, one: UsageEvent) -> list[LifecycleMessage]:
        self.account = self.account or begin(one.account, one.at)
        decided = fold(self.account, one, self.compiled, DECIDED, None, self.claims)
        self.decisions += decided
        return decided

    def browser(self, day: float, name: str, **fields: Any) -> list[LifecycleMessage]:
        return self.send(day, name, trust="browser", **fields)

    def claimed(self) -> list[tuple[str, str]]:
        """Where the claims stood, and none of them again."""
        places = [(claim.event, claim.property) for claim in self.claims]
        self.claims.clear()
        return places

    def trait(self, name: str) -> object:
        return self.here.traits[name].value if name in self.here.traits else None


@pytest.fixture
def here(tmp_path: Path) -> Told:
    return Told(definition_from(tmp_path, RULES))


@pytest.fixture(scope="module")
def shipped() -> CompiledDefinition:
    return default_definition()


def test_a_trusted_event_of_a_browser_moves_nothing_and_is_a_claim(here: Told) -> None:
    here.browser(0, "used", user="ann")
    assert here.browser(1, "paid", user="ann", properties={"priority": "urgent"}) == []
    assert (here.here.stage, here.here.milestones, here.metric("payments")) == ("trial", {}, 0.0)
    assert here.claimed() == [("paid", ""), ("urgent", "")]
    here.send(1, "paid", user="ann")
    assert (here.here.stage, here.metric("payments"), here.claimed()) == ("paying", 1.0, [])


def test_a_view_is_activity_though_a_trusted_class_matches_it_too(here: Told) -> None:
    here.browser(3, "/paid/thanks", type="page", user="ann")
    assert (here.metric("uses"), here.metric("payments"), here.metric("days_since_use")) == (1.0, 0.0, 0.0)
    assert here.claimed() == [("paid", "")]


def test_facts_and_who_leaves_are_trusted_unless_a_definition_says_otherwise(tmp_path: Path) -> None:
    text = RULES.replace(", trusted: true", "") + "facts: [paid]\nremoves_user: signed_up\n"
    assert [of.name for of in definition_from(tmp_path, text).router.classes if of.trusted] == ["paid", "signed_up"]
    open_to_all = definition_from(tmp_path, text.replace('"page:/paid*"]', '"page:/paid*"], trusted: false'))
    here = Told(open_to_all)
    facts = [one for one in here.browser(0, "paid") if isinstance(one, FactObserved)]
    assert [one.trust for one in facts] == ["browser"]


def test_a_browser_fills_a_descriptive_trait_until_a_server_tells_it(here: Told) -> None:
    here.browser(5, "", type="group", properties={"name": "Evil", "industry": "x"})
    assert (here.trait("name"), here.here.browser_traits) == ("Evil", {"name", "industry"})
    here.group(1, name="Acme")  # earlier by its time, and still: a server's word
    assert (here.trait("name"), here.here.browser_traits, here.claimed()) == ("Acme", {"industry"}, [])
    here.browser(9, "", type="group", properties={"name": "Evil"})
    here.browser(9, "signed_up", properties={"company": "Evil", "plan": "free"})
    assert (here.trait("name"), here.trait("plan")) == ("Acme", None)
    assert here.claimed() == [("$group", "name"), ("signed_up", "plan"), ("signed_up", "name")]
    here.browser(9, "", type="group", properties={"name": "Acme"})
    assert here.claimed() == []


def test_a_browser_tells_no_trait_that_metrics_read_even_where_nobody_told_it(here: Told) -> None:
    here.browser(0, "", type="group", properties={"mrr": 1})
    assert (here.metric("mrr"), here.claimed()) == (None, [("$group", "mrr")])
    here.group(1, mrr=500)
    here.browser(2, "", type="group", properties={"mrr": 1})
    assert (here.metric("mrr"), here.claimed()) == (500.0, [("$group", "mrr")])


def test_browsers_leave_room_for_the_traits_of_servers(tmp_path: Path) -> None:
    many = [f"t{number}" for number in range(MAX_TRAITS)]
    here = Told(definition_from(tmp_path, RULES + f"browser_traits: {many}\n".replace("'", "")))
    here.browser(0, "", type="group", properties=dict.fromkeys(many, "x"))
    here.group(1, mrr=500)
    assert (here.metric("mrr"), len(here.here.traits)) == (500.0, MAX_TRAITS)


def test_a_browser_replaces_neither_address_nor_role_of_a_known_contact(here: Told) -> None:
    here.identify(0, "root", email="root@acme.example", role="admin")
    evil = {"email": "me@evil.example", "role": "member", "name": "Root"}
    (changed,) = here.browser(9, "", type="identify", user="root", properties=evil)
    assert isinstance(changed, ContactChanged)
    assert (changed.email, changed.role, changed.name) == ("root@acme.example", "admin", "Root")
    assert (changed.email_trusted, here.claimed()) == (True, [("identify", "email"), ("identify", "role")])


def test_nobody_becomes_an_administrator_by_a_browser_while_a_server_told_the_address(here: Told) -> None:
    here.browser(0, "", type="identify", user="bob", properties={"role": "admin", "email": "bob@acme.example"})
    (changed,) = here.identify(1, "bob", email="bob@acme.example")
    assert isinstance(changed, ContactChanged)
    assert (changed.role, changed.email_trusted) == (None, True)


def test_a_new_contact_of_a_browser_has_an_address_nobody_vouches_for_until_a_server_does(here: Told) -> None:
    given = {"email": "ann@acme.example"}
    *_, first = here.browser(5, "", type="identify", user="ann", properties=given)
    (second,) = here.identify(1, "ann", **given)
    assert isinstance(first, ContactChanged)
    assert isinstance(second, ContactChanged)
    assert (first.email, first.email_trusted, second.email, second.email_trusted) == (
        *("ann@acme.example", False),
        *("ann@acme.example", True),
    )
    assert here.identify(2, "ann", **given) == []


def test_a_browser_ahead_of_time_does_not_hold_off_what_a_server_tells_next(here: Told) -> None:
    here.identify(0, "ann", email="old@acme.example")
    here.browser(9, "", type="identify", user="ann", properties={"name": "Ann"})
    here.identify(5, "ann", email="new@acme.example")
    assert here.here.contacts["ann"].email == "new@acme.example"


def test_anybody_may_say_no_and_only_a_trusted_source_yes_again(here: Told) -> None:
    def declined() -> bool:
        last = [one for one in here.decisions if isinstance(one, ContactChanged)][-1]
        return last.unsubscribed

    here.identify(0, "ann", email="ann@acme.example", unsubscribed=False)
    here.browser(3, "", type="identify", user="ann", properties={"unsubscribed": True})
    assert (declined(), here.claimed()) == (True, [])
    here.browser(4, "", type="identify", user="ann", properties={"unsubscribed": False})
    assert (declined(), here.claimed()) == (True, [("identify", "unsubscribed")])
    here.identify(2, "ann", unsubscribed=False)  # said before the no
    assert declined()
    here.identify(5, "ann", unsubscribed=False)
    assert not declined()


def test_contacts_of_browsers_never_push_out_one_that_a_server_told(here: Told) -> None:
    here.identify(0, "root", email="root@acme.example", role="admin")
    for number in range(contacts.MAX_CONTACTS + 5):
        here.browser(1, "", type="identify", user=f"x{number}", properties={"name": "X"})
    assert ("root" in here.here.contacts, len(here.here.contacts)) == (True, contacts.MAX_CONTACTS)
    assert here.claimed() == [("identify", "userId")] * 6
    here.identify(2, "bob", email="bob@acme.example")
    assert {"root", "bob"} <= here.here.contacts.keys()
    assert "x0" not in here.here.contacts


def test_an_identify_into_an_account_that_is_not_the_users_makes_no_contact(here: Told) -> None:
    given = {"email": "me@evil.example"}
    here.browser(0, "", type="identify", user="eve", properties=given, claims=("membership",))
    assert (here.here.contacts, here.claimed()) == ({}, [("identify", "membership")])


def test_a_browser_ends_no_history(here: Told) -> None:
    here.send(0, "used", history="import-1")
    here.browser(1, HISTORY_ENDED, properties={"live": False}, claims=("history",))
    here.browser(1, "used")
    assert not here.here.replaying
    assert here.claimed() == [(HISTORY_ENDED, "history"), (HISTORY_ENDED, "")]
    assert not any(isinstance(one, ClockAdvanced) for one in here.decisions)


def test_who_told_what_survives_storage(here: Told) -> None:
    here.browser(0, "", type="identify", user="ann", properties={"email": "ann@acme.example"})
    here.browser(0, "", type="group", properties={"name": "Acme"})
    assert LAYOUTS.decode(LAYOUTS.encode(here.here)) == here.here


def test_a_metric_over_open_items_is_trusted_on_both_sides(tmp_path: Path) -> None:
    bad = RULES.replace("  mrr:", "  owed: {kind: open, opened: [paid], closed: [use]}\n  mrr:")
    with pytest.raises(DefinitionError, match="'owed' counts trusted events, but 'use' is not trusted"):
        definition_from(tmp_path, bad)
    contradicts = RULES.replace("trusted: true}\n  signed_up", "trusted: true, sets: {mrr: mrr}}\n  signed_up")
    with pytest.raises(DefinitionError, match="'mrr' is set by 'urgent', which no browser may tell"):
        definition_from(tmp_path, contradicts + "browser_traits: [mrr]\n")


MONEY = ("mrr", "seats", "plan", "renewal_at", "entitled_features")


def test_in_the_shipped_definition_a_browser_tells_no_money_and_no_seats(shipped: CompiledDefinition) -> None:
    assert not shipped.browser_traits & {*MONEY}
    believed = {of.name for of in shipped.router.classes if not of.trusted}
    assert believed == {
        *("core_use", "value", "signed_up", "user_invited", "integration_connected", "gated_feature_attempted")
    }


def test_one_event_of_a_browser_stands_for_no_more_than_a_few(tmp_path: Path) -> None:
    here = Told(definition_from(tmp_path, RULES.replace("of: use, days: 28}", "of: use, days: 28, weight: n}")))
    here.browser(0, "used", properties={"n": 1e15})
    assert here.metric("uses") == MAX_BROWSER_AMOUNT
    here.browser(0, "used", properties={"n": -1e15})
    here.browser(0, "used", properties={"n": 3})
    assert here.metric("uses") == MAX_BROWSER_AMOUNT + 3
    here.send(0, "used", properties={"n": 1000})
    assert here.metric("uses") == MAX_BROWSER_AMOUNT + 1003
