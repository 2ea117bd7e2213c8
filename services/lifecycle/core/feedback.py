"""Feedback: messages of notify and advocacy as usage events like any other, under names of our own."""

import msgspec

from shared.contracts.advocacy import AdvocacyMessage, ReferralConverted, SurveyAnswered
from shared.contracts.evidence import Value
from shared.contracts.outreach import OutreachMessage, OutreachRecorded
from shared.contracts.usage import UsageEvent

Feedback = AdvocacyMessage | OutreachMessage
SOURCE = "waymark"


def as_event(message: Feedback) -> UsageEvent | None:
    """The event of this message; None where it says nothing about the account's lifecycle."""
    if isinstance(message, SurveyAnswered):
        properties: dict[str, Value] = {
            "score": message.score,
            "survey": message.survey,
            "comment": message.comment,
            "via": SOURCE,
        }
        return _event(message, f"{message.survey_kind}_answered", message.user, properties)
    if isinstance(message, ReferralConverted):
        return _event(message, "referral_converted", message.user, {"referred": message.referred_account})
    if isinstance(message, OutreachRecorded) and message.status == "sent":
        return _event(message, "outreach_sent", message.user, {"play": message.play, "channel": message.channel})
    return None


def _event(message: Feedback, name: str, user: str | None, properties: dict[str, Value]) -> UsageEvent:
    return UsageEvent(
        id=message.id,
        account=message.account,
        type="track",
        name=name,
        at=message.at,
        received_at=message.decided_at,
        source=SOURCE,
        user=user,
        properties=msgspec.Raw(msgspec.json.encode(properties)),
        history="history" if message.history else None,
    )
