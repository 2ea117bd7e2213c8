"""Feedback: messages of notify and advocacy as usage events like any other, under names of our own."""

import msgspec

from services.lifecycle.core.contacts import OWN_SOURCE
from shared.contracts.advocacy import AdvocacyMessage, ReferralConverted, SurveyAnswered
from shared.contracts.evidence import Value
from shared.contracts.outreach import ConsentChanged, OutreachMessage, OutreachRecorded
from shared.contracts.usage import EventType, UsageEvent

Feedback = AdvocacyMessage | OutreachMessage
_EVERYTHING = "*"


def as_event(message: Feedback) -> UsageEvent | None:
    """The event of this message; None where it says nothing about the account's lifecycle."""
    if isinstance(message, SurveyAnswered):
        properties: dict[str, Value] = {
            "score": message.score,
            "survey": message.survey,
            "comment": message.comment,
            "via": OWN_SOURCE,
        }
        return _event(message, f"{message.survey_kind}_answered", message.user, properties)
    if isinstance(message, ReferralConverted):
        return _event(message, "referral_converted", message.user, {"referred": message.referred_account})
    if isinstance(message, OutreachRecorded) and message.status == "sent":
        return _event(message, "outreach_sent", message.user, {"play": message.play, "channel": message.channel})
    if isinstance(message, ConsentChanged) and message.granted and message.topic == _EVERYTHING:
        # what an identify call said before is over: else the next change of the contact would tell the old no again
        return _event(message, "", message.user, {"unsubscribed": False}, "identify")
    return None


def _event(
    message: Feedback, name: str, user: str | None, properties: dict[str, Value], type_: EventType = "track"
) -> UsageEvent:
    return UsageEvent(
        id=message.id,
        account=message.account,
        type=type_,
        name=name,
        at=message.at,
        received_at=message.decided_at,
        source=OWN_SOURCE,
        user=user,
        properties=msgspec.Raw(msgspec.json.encode(properties)),
        history="history" if message.history else None,
    )
