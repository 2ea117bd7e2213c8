"""Feedback: what says that an address is dead does, and what says something else does not."""

import json
from typing import Any

import pytest

from services.notify.core.feedback import UnreadableFeedback, is_dead_address, read_json, read_mail


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (550, "no such user"),
        (550, "5.1.1 <ann@acme.test>: Recipient address rejected: User unknown in virtual mailbox table"),
        (550, "5.1.1 The email account that you tried to reach does not exist."),
        (550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"),
        (553, "5.1.2 We weren't able to find the recipient domain."),
        (550, "5.2.1 The email account that you tried to reach is inactive"),
        (551, "User not local"),
        (556, "Domain does not accept mail"),
        (554, "5.1.1 unknown"),
    ],
)
def test_an_address_that_nobody_reads_is_dead(code: int, words: str):
    assert is_dead_address(code, words)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (552, "5.2.2 The email account that you tried to reach is over quota"),
        (552, "mailbox full"),
        (550, "5.7.1 Message rejected due to policy"),
        (550, "5.7.26 Unauthenticated email is not accepted due to domain's DMARC policy"),
        (550, "Blocked: 192.0.2.1 is listed at rbl.example"),
        (550, "SPF check failed"),
        (553, "sorry, your envelope sender is in my badmailfrom list"),
        (554, "Relay access denied"),
        (550, "5.1.8 Access denied, bad outbound sender"),
        (450, "4.2.0 greylisted"),
        (550, "Mailbox quota exceeded"),
    ],
)
def test_a_rejection_that_is_about_something_else_says_nothing_of_the_address(code: int, words: str):
    assert not is_dead_address(code, words)


def read(plain: Any) -> list[tuple[str, str]]:
    return [(report.reason, report.address) for report in read_json(json.dumps(plain).encode())]


def test_the_plain_form_is_one_report_or_a_list():
    bounce = {"type": "bounce", "address": "ann@acme.test", "at": "2026-01-01T00:00:00Z", "reason": "gone"}
    assert read(bounce) == [("bounced", "ann@acme.test")]
    assert read(
        [bounce, {"type": "complaint", "address": "bob@acme.test"}, {"type": "soft_bounce", "address": "c@d.e"}]
    ) == [
        ("bounced", "ann@acme.test"),
        ("complained", "bob@acme.test"),
    ]


def sns(**told: Any) -> dict[str, Any]:
    return {"Type": "Notification", "MessageId": "1", "TopicArn": "arn:x", "Message": json.dumps(told)}


def test_one_that_cannot_be_read_costs_no_other_its_place():
    bounce = {"type": "bounce", "address": "ann@acme.test"}
    assert read([{"type": "gone", "address": "x@y.z"}, 7, None, {"type": "bounce"}, bounce]) == [
        ("bounced", "ann@acme.test")
    ]
    for odd in ({"event": ["bounce"], "email": "x@y.z"}, {"RecordType": "Bounce", "Type": {}, "Email": "x@y.z"}):
        assert read([odd, bounce]) == [("bounced", "ann@acme.test")]
    mailgun = {"event-data": {"event": [], "severity": {}, "reason": [], "recipient": "x@y.z"}}
    assert read([mailgun, bounce]) == [("bounced", "ann@acme.test")]


def test_a_recipient_with_a_name_and_what_no_database_stores_are_read_as_the_address():
    told = [
        {"type": "complaint", "address": "Ann Lee <ann@acme.test>"},
        {"type": "bounce", "address": "b\0ob@acme.test", "reason": "\ud800 gone\0"},
    ]
    assert read(told) == [("complained", "ann@acme.test"), ("bounced", "bob@acme.test")]
    assert [report.detail for report in read_json(json.dumps(told).encode())] == ["", "? gone"]


def test_amazon_ses_reports_over_sns():
    recipient = {"emailAddress": "ann@acme.test", "action": "failed", "status": "5.1.1", "diagnosticCode": "smtp; 550"}
    bounce = {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": [recipient]}
    assert read(sns(notificationType="Bounce", bounce=bounce)) == [("bounced", "ann@acme.test")]
    assert read(sns(notificationType="Bounce", bounce=bounce | {"bounceType": "Transient"})) == []
    complaint = {"complainedRecipients": [{"emailAddress": "bob@acme.test"}], "complaintFeedbackType": "abuse"}
    assert read(sns(eventType="Complaint", complaint=complaint)) == [("complained", "bob@acme.test")]
    assert read({"Type": "SubscriptionConfirmation", "SubscribeURL": "https://sns.test/", "Message": "x"}) == []


def test_sendgrid_posts_a_list_of_events():
    events = [
        {"email": "a@x.test", "event": "bounce", "type": "bounce", "status": "5.1.1", "timestamp": 1700000000},
        {"email": "b@x.test", "event": "bounce", "type": "blocked", "timestamp": 1700000000},
        {"email": "c@x.test", "event": "spamreport", "timestamp": 1700000000},
        {"email": "d@x.test", "event": "delivered", "timestamp": 1700000000},
        {"email": "e@x.test", "event": "unsubscribe", "timestamp": 1700000000},
    ]
    assert read(events) == [("bounced", "a@x.test"), ("complained", "c@x.test"), ("unsubscribed", "e@x.test")]


def test_postmark_posts_records():
    bounce = {
        "RecordType": "Bounce",
        "Type": "HardBounce",
        "TypeCode": 1,
        "Email": "a@x.test",
        "BouncedAt": "2026-01-01T00:00:00Z",
    }
    assert read(bounce) == [("bounced", "a@x.test")]
    assert read(bounce | {"Type": "SoftBounce"}) == []
    assert read({"RecordType": "SpamComplaint", "Type": "SpamComplaint", "Email": "b@x.test"}) == [
        ("complained", "b@x.test")
    ]
    change = {"RecordType": "SubscriptionChange", "SuppressSending": True, "SuppressionReason": "ManualSuppression"}
    assert read(change | {"Recipient": "c@x.test"}) == [("unsubscribed", "c@x.test")]


def test_mailgun_posts_event_data():
    failed = {
        "event": "failed",
        "severity": "permanent",
        "reason": "bounce",
        "recipient": "a@x.test",
        "timestamp": 1700000000.5,
    }
    assert read({"signature": {}, "event-data": failed}) == [("bounced", "a@x.test")]
    assert read({"event-data": failed | {"severity": "temporary"}}) == []
    assert read({"event-data": failed | {"reason": "generic"}}) == []
    assert read({"event-data": {"event": "complained", "recipient": "b@x.test"}}) == [("complained", "b@x.test")]


@pytest.mark.parametrize(
    "body",
    [b"", b"no json", b"[1]", b"{}", b'{"type": "love", "address": "a@b.c"}', b'{"type": "bounce"}', b"[" * 5000],
)
def test_what_is_no_report_is_refused(body: bytes):
    with pytest.raises(UnreadableFeedback):
        read_json(body)


OUR_ID = "7c0e5c54-0000-5000-8000-000000000001"
DSN = f"""\
From: MAILER-DAEMON@mx.test
To: success@example.com
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain

I'm sorry.

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.test

Final-Recipient: rfc822; ann@acme.test
Original-Recipient: rfc822;ann@acme.test
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 user unknown

--B
Content-Type: text/rfc822-headers

From: success@example.com
To: ann@acme.test
Message-ID: <{OUR_ID}@example.com>
Subject: Welcome

--B--
"""


def test_a_delivery_status_notification_names_the_address_and_our_delivery():
    (report,) = read_mail(DSN.encode())
    assert (report.reason, report.address, report.delivery) == ("bounced", "ann@acme.test", OUR_ID)
    assert report.needs_delivery


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Action: failed", "Action: delayed"),
        ("Status: 5.1.1\n", "Status: 5.2.2\n"),
        (
            "Status: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 user unknown",
            "Status: 5.0.0\nDiagnostic-Code: smtp; 554 spam",
        ),
    ],
)
def test_a_notification_of_something_else_is_no_bounce(old: str, new: str):
    assert read_mail(DSN.replace(old, new).encode()) == []


def test_a_vague_status_is_decided_by_its_diagnostic():
    vague = DSN.replace("Status: 5.1.1\n", "Status: 5.0.0\n").replace("550 5.1.1 user unknown", "550 no such user here")
    assert [report.reason for report in read_mail(vague.encode())] == ["bounced"]


ARF = f"""\
From: <abuse@provider.test>
To: <success@example.com>
Subject: FW: Welcome
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="B"

--B
Content-Type: text/plain

This is an email abuse report.

--B
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1
Original-Rcpt-To: <ann@acme.test>

--B
Content-Type: message/rfc822
Content-Disposition: inline

From: <success@example.com>
To: <ann@acme.test>
Subject: Welcome
Message-ID: <{OUR_ID}@example.com>

Hello
--B--
"""


def test_an_abuse_report_is_a_complaint():
    (report,) = read_mail(ARF.encode())
    assert (report.reason, report.address, report.delivery) == ("complained", "ann@acme.test", OUR_ID)
    assert read_mail(ARF.replace("Feedback-Type: abuse", "Feedback-Type: not-spam").encode()) == []


@pytest.mark.parametrize("raw", [b"", b"Subject: hello\n\nI am on holiday", DSN.encode()[:200], b"\xff\xfe\x00" * 50])
def test_a_mail_that_is_no_report_is_refused(raw: bytes):
    with pytest.raises(UnreadableFeedback):
        read_mail(raw)
