"""Feedback: messages of notify and advocacy as usage events, under names of our own, and when an account takes each.

Feedback comes through other accounts and services, so when it arrives says nothing. It drives no clock: what is dated ahead
of the account's own clock waits until that gets there, by the account's events or by its timer, and is taken at its place
like a midnight. What is said of history (by an import's own account, or about another's) arrives while the rest of the
import is under way, at a place that nobody could repeat. So it is kept until the account's history is over and nothing more
was said of it for a while, and is then taken together, in order of time.
"""

from bisect import insort
from datetime import datetime, timedelta

import msgspec

from services.lifecycle.core.contacts import OWN_SOURCE
from services.lifecycle.core.state import Account, KeptFeedback
from shared.contracts.advocacy import AdvocacyMessage, ReferralConverted, SurveyAnswered
from shared.contracts.evidence import Value
from shared.contracts.outreach import ConsentChanged, OutreachMessage, OutreachRecorded
from shared.contracts.usage import EventType, UsageEvent

_EVERYTHING = "*"
SETTLED_AFTER = timedelta(seconds=30)
"""For so long nothing more was said of an account's history: whoever is part of the import has been through it."""
MOST_KEPT = 1000
"""Of an account whose clock stands still, the latest so many wait: what anybody may cause without end needs an end."""


def as_event(message: AdvocacyMessage | OutreachMessage) -> UsageEvent | None:
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


def keep(account: Account, event: UsageEvent) -> None:
    """Keep an event of feedback until it is taken. One that is kept already changes nothing.

    Of one time, live feedback keeps the order in which it was said; of history, where nobody knows that, that of its ids.
    """
    is_of_history = account.replaying or event.history is not None
    kept = account.unsettled if is_of_history else account.waiting
    one = KeptFeedback(event.at, event.id, event.received_at, msgspec.json.encode(event))
    if all(other.id != one.id for other in kept):
        insort(kept, one, key=_order if is_of_history else _time)
        del kept[:-MOST_KEPT]


def settles_at(account: Account) -> datetime | None:
    """When what was said of its history is taken, by the wall clock; None while the history goes on, or nothing was said."""
    if not account.unsettled or (account.replaying and not account.history_over):
        return None
    return max(one.told_at for one in account.unsettled) + SETTLED_AFTER


def wakes_at(account: Account) -> datetime | None:
    """When time alone has something to do. An import drives the clock of an account that is held: there only feedback settles."""
    if not account.waiting and not account.unsettled:
        return None if account.replaying else account.next_due
    settles = settles_at(account)
    if account.replaying:
        return settles
    waiting = account.waiting[0].at if account.waiting else None
    return min((due for due in (account.next_due, waiting, settles) if due is not None), default=None)


def next_place(account: Account) -> datetime | None:
    """When the account's clock comes to feedback that it takes."""
    settles = settles_at(account)
    if account.replaying or not account.waiting:
        return settles
    waiting = account.waiting[0].at
    return waiting if settles is None else min(waiting, settles)


def taken_at(account: Account, place: datetime) -> list[UsageEvent]:
    """What is taken there, in order; it is kept no longer. What settles ahead of the clock waits for it."""
    if account.waiting and not account.replaying and account.waiting[0].at <= place:
        return [_decode(account.waiting.pop(0).event)]
    settled, account.unsettled = account.unsettled, []
    reached = account.clock if account.replaying else place
    for one in settled:
        if one.at > reached:
            insort(account.waiting, one, key=_time)
    return [_decode(one.event) for one in settled if one.at <= reached]


_decode = msgspec.json.Decoder(UsageEvent).decode


def _time(one: KeptFeedback) -> datetime:
    return one.at


def _order(one: KeptFeedback) -> tuple[datetime, str]:
    return one.at, one.id


def _event(
    message: AdvocacyMessage | OutreachMessage,
    name: str,
    user: str | None,
    properties: dict[str, Value],
    type_: EventType = "track",
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
