"""A no, a bounce or a complaint is heard wherever an event tells it, and of whom it may be believed."""

from typing import Any

import pytest

from services.lifecycle.core.evaluation import UntrustedClaim
from services.lifecycle.core.fold import fold
from services.lifecycle.core.state import begin
from shared.contracts.lifecycle import ContactChanged, LifecycleMessage, MailReported
from shared.contracts.usage import UsageEvent
from tests.core.lifecycle.make import DECIDED, Scenario, default_definition

ANN = "ann@acme.example"


class Told(Scenario):
    """One account with Ann, of whom a server told the address."""

    def __init__(self) -> None:
        super().__init__(default_definition())
        self.claims: list[UntrustedClaim] = []
        self.identify(0, "ann", email=ANN)

    def fold(self, one: UsageEvent) -> list[LifecycleMessage]:
        self.account = self.account or begin(one.account, one.at)
        decided = fold(self.account, one, self.compiled, DECIDED, None, self.claims)
        self.decisions += decided
        return decided

    def says_no(self, user: str = "ann") -> list[tuple[str | None, bool]]:
        return [(one.email, one.gone) for one in self.all(ContactChanged, user=user, unsubscribed=True)]

    def reports(self) -> list[tuple[str, str | None, str | None]]:
        return [(one.reason, one.user, one.address) for one in self.all(MailReported)]


@pytest.fixture
def here() -> Told:
    return Told()


@pytest.mark.parametrize("trust", ["server", "browser"])
@pytest.mark.parametrize("name", ["Unsubscribed", "email unsubscribed", "Email Opted Out"])
def test_an_event_of_that_name_is_a_no_whoever_tells_it(here: Told, name: str, trust: str) -> None:
    here.send(1, name, user="ann", trust=trust)
    assert here.says_no() == [(ANN, False)]


@pytest.mark.parametrize("type", ["track", "page", "screen", "group", "identify"])
@pytest.mark.parametrize("trust", ["server", "browser"])
def test_a_no_in_the_context_of_any_call_is_a_no(here: Told, type: str, trust: str) -> None:  # noqa: A002  as on the wire
    here.send(1, "report", type=type, user="ann", trust=trust, no_to_mail=True)
    assert here.says_no() == [(ANN, False)]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Signed Up", {"marketing_opt_in": False}),
        ("Email Preferences Updated", {"preferences": {"marketing": False}}),
        ("User Updated", {"unsubscribed": "true"}),
        ("Consent Changed", {"channel": "email", "email_consent": "denied"}),
    ],
)
def test_a_no_in_the_properties_of_an_event_about_a_person_is_a_no(here: Told, name: str, told: dict[str, Any]) -> None:
    here.track(1, name, **told)
    assert here.says_no() == [(ANN, False)]


def test_a_count_of_something_else_is_no_no(here: Told) -> None:
    here.track(1, "Campaign Sent", unsubscribed=12, bounced=3)
    here.track(1, "Email Preferences Updated", email=True)
    assert (here.says_no(), here.reports()) == ([], [])


def test_who_is_not_known_yet_has_said_no_at_the_address_that_comes_along(here: Told) -> None:
    here.send(1, "report", user="bob", no_to_mail=True, address="bob@acme.example")
    assert here.says_no("bob") == [("bob@acme.example", False)]


@pytest.mark.parametrize(("name", "reason"), [("Email Bounced", "bounced"), ("Email Marked as Spam", "complained")])
def test_a_server_tells_of_a_bounce_and_of_a_complaint(here: Told, name: str, reason: str) -> None:
    here.track(1, name)
    here.track(2, name, email="Old <old@acme.example>")
    of = "ann" if reason == "complained" else None
    assert here.reports() == [(reason, of, ANN), (reason, of, "old@acme.example")]


def test_mail_that_may_yet_arrive_says_nothing(here: Told) -> None:
    here.track(1, "Email Bounced", bounce_type="soft")
    assert here.reports() == []


def test_a_bounce_of_nobody_is_listed_as_unreadable_and_stops_nobody(here: Told) -> None:
    here.track(1, "Email Bounced", "nobody")
    assert here.reports() == []


def test_a_browser_tells_of_no_bounce_and_of_no_address_but_its_users_own(here: Told) -> None:
    here.send(1, "Email Bounced", user="ann", trust="browser", properties={"email": "victim@acme.example"})
    here.send(2, "Email Marked as Spam", user="ann", trust="browser", properties={"email": "victim@acme.example"})
    assert here.reports() == []
    assert here.claims == [("Email Bounced", "bounced", "ann")]
    assert here.says_no() == [(ANN, False)]


def test_a_browser_under_a_foreign_account_says_no_for_its_user_and_makes_no_contact(here: Told) -> None:
    here.send(
        1, "", type="identify", user="eve", trust="browser", claims=("membership",), properties={"unsubscribed": 1}
    )
    assert here.reports() == [("unsubscribed", "eve", None)]
    assert "eve" not in here.here.contacts


def test_a_server_whose_event_names_no_account_is_believed_of_the_address(here: Told) -> None:
    here.send(1, "Email Bounced", user="ann", trust="browser", claims=("account",), properties={"email": ANN})
    assert here.reports() == [("bounced", None, ANN)]


def test_a_no_of_somebody_elses_contact_is_that_contacts(here: Told) -> None:
    here.track(1, "Contact Unsubscribed", email="reader@shop.example")
    assert (here.says_no(), here.reports()) == ([], [("unsubscribed", None, "reader@shop.example")])


def test_a_no_at_another_address_is_the_persons_and_that_addresss(here: Told) -> None:
    here.track(1, "Unsubscribed", email="old@acme.example")
    assert here.says_no() == [(ANN, False)]
    assert here.reports() == [("unsubscribed", None, "old@acme.example")]


def test_only_a_later_clear_word_of_a_trusted_source_takes_such_a_no_back(here: Told) -> None:
    here.send(2, "report", user="ann", trust="browser", no_to_mail=True)
    here.send(3, "", type="identify", user="ann", trust="browser", properties={"unsubscribed": False})
    here.identify(1, "ann", unsubscribed=False)
    assert not here.all(ContactChanged, resubscribed=True)
    here.identify(4, "ann", unsubscribed=False)
    assert here.all(ContactChanged, resubscribed=True)
