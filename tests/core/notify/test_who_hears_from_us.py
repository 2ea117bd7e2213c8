"""Policy: everything that is not sent is recorded with its reason."""

from services.notify.core.delivery import forget_contact, record_contact
from services.notify.core.playbook import Trigger
from services.notify.core.policy import held_out, recheck
from services.notify.core.state import apply_consent
from shared.contracts.outreach import ConsentChanged
from tests.core.notify.make import NIGHT, Story, at, book, budget, play, reasons, sent, step


def refuse(story: Story, topic: str, *, granted: bool = False, user: str = "ann") -> None:
    head = {"id": "c", "account": "acme", "at": at(0), "decided_at": at(0)}
    story.account = apply_consent(story.account, ConsentChanged(**head, user=user, topic=topic, granted=granted))


def test_somebody_who_unsubscribed_from_a_class_a_topic_or_everything_is_left_alone():
    for topic in ("value", "reports", "*"):
        story = Story(book(play(class_="value", topic="reports")))
        story.person()
        refuse(story, topic)
        story.signal()
        assert reasons(story.wait(at(0))) == ["unsubscribed"], topic


def test_somebody_who_came_back_is_written_to_again():
    story = Story(book(play(class_="value")))
    story.person()
    refuse(story, "value")
    refuse(story, "*", granted=True)
    story.signal()
    assert sent(story.wait(at(0))) == [("hello", "ann")]
    assert story.account.declined_topics == {}


def test_unsubscribing_between_two_steps_stops_the_second():
    story = Story(book(play(steps=[step(0, template="one"), step(2, template="two")])))
    story.person()
    story.signal()
    story.wait(at(1))
    refuse(story, "*")
    assert reasons(story.wait(at(3))) == ["unsubscribed"]


def test_a_failed_payment_is_told_to_those_who_unsubscribed_from_marketing():
    story = Story(book(play(class_="transactional")))
    story.person(unsubscribed=True)
    story.signal()
    assert sent(story.wait(at(0))) == [("hello", "ann")]


def test_a_request_for_somebody_who_left_or_has_no_address_says_so():
    story = Story(book(play("nps", request=True)))
    story.person("ann", gone=True)
    story.person("bob", email="not an address\r\nBcc: all@x.test")
    story.request("nps", "ann")
    story.request("nps", "bob")
    assert sorted(reasons(story.wait(at(0)))) == ["gone", "no_address"]


def test_a_guard_that_is_unknown_says_no_and_a_bar_that_is_unknown_does_not():
    story = Story(book(play("a", when=["seats >= 5"]), play("b", unless=["seats >= 5"])))
    story.person()
    story.signal("a")
    story.signal("b")
    (a, b) = story.wait(at(0))
    assert (a.reason, a.detail) == ("guard", "seats >= 5 (seats = unknown)")
    assert b.send


def test_a_flag_that_is_not_raised_reads_as_false():
    story = Story(book(play(when=["!at_risk"])))
    story.person()
    story.signal()
    assert sent(story.wait(at(0))) == [("hello", "ann")]


def test_a_held_out_account_is_recorded_when_it_would_have_been_written_to():
    accounts = [f"a{number}" for number in range(200)]
    out = [account for account in accounts if held_out("salt", account, 0.2)]
    assert 20 <= len(out) <= 60
    story = Story(book(play(holdout=0.2)), out[0])
    story.person()
    story.signal()
    assert reasons(story.wait(at(0))) == ["holdout"]
    assert story.account.budget_entries == []


def test_an_account_that_is_held_out_of_a_small_share_is_held_out_of_a_larger_one():
    accounts = [f"a{number}" for number in range(100)]
    assert {a for a in accounts if held_out("s", a, 0.1)} <= {a for a in accounts if held_out("s", a, 0.3)}


def test_over_budget_waits_for_room():
    story = Story(book(play("a"), play("b")))
    story.person()
    story.signal("a")
    story.signal("b")
    story.wait(at(5))
    assert [(planned.play, planned.at) for planned in story.planned] == [("a", at(0)), ("b", at(1))]


def test_over_budget_until_it_expires_is_skipped_at_once_naming_the_cap():
    story = Story(book(play("a", class_="expansion"), play("b", class_="expansion")))
    story.person()
    story.signal("a")
    story.signal("b")
    (_, skipped) = story.wait(at(0))
    assert (skipped.reason, skipped.detail) == ("budget", "expansion")


def test_the_more_important_of_two_at_once_goes_first():
    story = Story(
        book(play("a", Trigger(signal="x"), class_="advocacy"), play("b", Trigger(signal="x"), class_="risk"))
    )
    story.person()
    story.signal("x")
    assert [planned.play for planned in story.wait(at(0))] == ["b"]


def test_an_urgent_ticket_lets_offers_wait_until_it_is_closed():
    story = Story(book(play(class_="expansion")))
    story.person()
    story.signal(metrics={"open_urgent_tickets": 1.0})
    assert story.wait(at(1.5)) == []
    story.signal("closed", when=1.6, metrics={"open_urgent_tickets": 0.0})
    assert [planned.at for planned in story.wait(at(5))] == [at(2)]


def test_an_urgent_ticket_that_stays_open_outlasts_the_offer():
    story = Story(book(play(class_="expansion")))
    story.person()
    story.signal(metrics={"open_urgent_tickets": 1.0})
    assert reasons(story.wait(at(10))) == ["urgent_ticket"]


def test_mail_due_at_night_goes_out_in_the_morning_of_the_person():
    story = Story(book(play(), budget=budget(quiet=NIGHT)))
    story.person(timezone="America/Los_Angeles")  # noon UTC is four in the morning there
    story.signal()
    assert [planned.at for planned in story.wait(at(1))] == [at(4 / 24)]


def test_a_failed_payment_waits_for_no_morning():
    story = Story(book(play(class_="transactional"), budget=budget(quiet=NIGHT)))
    story.person(timezone="America/Los_Angeles")
    story.signal()
    assert sent(story.wait(at(0))) == [("hello", "ann")]


def test_a_delivery_that_waited_too_long_to_be_sent_is_judged_once_more():
    story = Story(book(play("a"), play("b")))
    story.person()
    story.signal("a")
    story.signal("b")
    (a, b) = story.wait(at(5))
    assert recheck(story.account, a, at(9), story.book).reason == "expired"
    story.account = record_contact(story.account, a, at(2.5), story.book.channels)
    late = recheck(story.account, b, at(3), story.book)
    assert (late.action, late.reason, late.until) == ("defer", "budget", at(3.5))
    assert recheck(forget_contact(story.account, a.id), b, at(3), story.book).action == "send"
    refuse(story, "*")
    assert recheck(story.account, b, at(4), story.book).reason == "unsubscribed"
