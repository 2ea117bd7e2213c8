"""The names of events that say something of mail to somebody."""

import pytest

from shared.mail_events import as_address, is_soft_bounce, read_address, read_mail_event


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Unsubscribed", "unsubscribed"),
        ("unsubscribe", "unsubscribed"),
        ("Email Unsubscribed", "unsubscribed"),
        ("email_unsubscribed", "unsubscribed"),
        ("User Unsubscribed from All Emails", "unsubscribed"),
        ("Newsletter Unsubscribed", "unsubscribed"),
        ("Email Opted Out", "unsubscribed"),
        ("contact.unsubscribed", "unsubscribed"),
        ("Email Bounced", "bounced"),
        ("EMAIL BOUNCED", "bounced"),
        ("email-hard-bounce", "bounced"),
        ("sendgrid bounce", "bounced"),
        ("Email Marked as Spam", "complained"),
        ("emailMarkedAsSpam", "complained"),
        ("Spam Complaint", "complained"),
        ("Email Complained", "complained"),
        ("Spam Reported", "complained"),
    ],
)
def test_what_a_name_says_of_mail(name: str, reason: str) -> None:
    told = read_mail_event(name)
    assert told is not None
    assert told.reason == reason


@pytest.mark.parametrize(
    "name",
    [
        *("Email Delivered", "Email Opened", "Email Link Clicked", "Email Soft Bounced", "Bounced", "Ball Bounced"),
        *(
            "SMS Unsubscribed",
            "Push Unsubscribed",
            "Comment Marked as Spam",
            "Complaint",
            "Resubscribed",
            "Page Viewed",
        ),
        *("Unsubscribe Page Viewed", "Subscription Cancelled", "report_shared", "Not Unsubscribed", ""),
    ],
)
def test_a_name_that_says_something_else_is_no_report(name: str) -> None:
    told = read_mail_event(name)
    assert told is None or told.reason is None


def test_an_event_about_somebody_elses_mail_is_known_by_its_name() -> None:
    assert read_mail_event("Contact Unsubscribed") == ("unsubscribed", True)
    assert read_mail_event("User Unsubscribed") == ("unsubscribed", False)


@pytest.mark.parametrize(
    "how", [{"type": "soft"}, {"bounce_type": "SoftBounce"}, {"bounceType": "Transient"}, {"type": "blocked"}]
)
def test_mail_that_may_yet_arrive_has_not_bounced(how: dict[str, object]) -> None:
    assert is_soft_bounce(how)
    assert not is_soft_bounce({"type": "hard", "bounceType": "Permanent"})


@pytest.mark.parametrize("given", ["ann@acme.test", " ann@acme.test ", "Ann Lee <ann@acme.test>"])
def test_an_address_is_read_as_people_write_it(given: str) -> None:
    assert as_address(given) == read_address({"recipient": given}) == "ann@acme.test"


@pytest.mark.parametrize("given", [None, 7, "", "ann", ["ann@acme.test"], "a b@acme.test", f"{'a' * 300}@acme.test"])
def test_what_is_no_address_is_none(given: object) -> None:
    assert as_address(given) is None
