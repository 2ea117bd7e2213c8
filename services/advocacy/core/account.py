"""Account state: what advocacy knows of an account, one immutable value, and how each message changes it."""

from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

import msgspec
from msgspec.structs import replace

from services.advocacy.core.definitions import Definitions
from services.advocacy.core.referral import Payment, Refund, Signup
from shared.contracts.advocacy import AskStatus
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import Band, ContactChanged, LifecycleMessage, Snapshot, Stage
from shared.contracts.outreach import ConsentChanged, OutreachStatus
from shared.machine import StatusMachine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The clock of an account that has had no message."""

TENURE = "tenure_days"
"""The metric with which lifecycle says that a customer is older than our first message of it."""

ASK: StatusMachine[AskStatus] = StatusMachine(
    "request to refer others",
    get_args(AskStatus),
    {
        "open": {"accepted", "declined", "withdrawn"},
        "declined": {"accepted"},
        "accepted": set(),
        "withdrawn": set(),
    },
)


class Contact(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """A person who might be asked. In `unsubscribed_topics` `*` is every topic."""

    email: str = ""
    name: str = ""
    role: str = ""
    unsubscribed: bool = False
    gone: bool = False
    unsubscribed_topics: tuple[str, ...] = ()

    def accepts(self, topic: str) -> bool:
        """Whether they may be written to about this topic."""
        return not (
            self.gone or self.unsubscribed or topic in self.unsubscribed_topics or "*" in self.unsubscribed_topics
        )


class LastInvitation(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """The latest invitation of one survey to one person, and what notify reported of it (empty: nothing yet).

    `sent_at` is when the survey last reached them, by this invitation or an earlier one; `due_since` the moment that this one
    was first due, where it was withheld before.
    """

    id: str
    at: datetime
    status: OutreachStatus | Literal[""] = ""
    sent_at: datetime | None = None
    due_since: datetime | None = None
    history: bool = False

    def asked_at(self, *, replaying: bool) -> datetime | None:
        """When the person was last asked: only what was sent counts, and what may yet be or may have been.

        What an import planned counts only within that import.
        """
        counts = self.status in _MAY_REACH_SOMEBODY and (replaying or not self.history)
        times = [at for at in (self.at if counts else None, self.sent_at) if at is not None]
        return max(times, default=None)


_MAY_REACH_SOMEBODY = frozenset[str]({"", "sent", "opened", "unknown"})


class DueSurvey(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """A survey that was due and withheld: it is asked when the reason passes.

    `users` are those it was withheld from, none named: whoever may be asked. `retry_at` is when time alone may make the
    difference. `since` is when it was first due.
    """

    since: datetime
    cause: str
    occurrence: str
    users: tuple[str, ...] = ()
    retry_at: datetime | None = None
    history: bool = False


class LastScore(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A person's latest answer of one kind."""

    score: int
    at: datetime


class Ask(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """A request to this person to refer others. `resolved_at` is when the status left `open`.

    `rests_until` is how long nobody is asked again after it, as far as notify has reported; without it, the whole cooldown.
    """

    id: str
    user: str
    at: datetime
    closes_at: datetime
    status: AskStatus = "open"
    resolved_at: datetime | None = None
    history: bool = False
    rests_until: datetime | None = None


class Account(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """The state of an account. `clock` is its own time, `seq` the last lifecycle message it has seen.

    `first_seen_at` is its first message, or earlier. `replaying`: an import and not the wall clock drives it. `followed`: notify
    waits for us, from a message of history to the one with which the wall clock takes over.
    """

    id: str
    seq: int = 0
    clock: datetime = EPOCH
    first_seen_at: datetime | None = None
    replaying: bool = True
    followed: bool = False
    stage: Stage = ""
    band: Band = "unknown"
    score: float | None = None
    flags: tuple[str, ...] = ()
    metrics: dict[str, Value] = {}
    contacts: dict[str, Contact] = {}
    last_invitations: dict[str, dict[str, LastInvitation]] = {}
    """user -> survey -> the latest invitation"""
    due_surveys: dict[str, DueSurvey] = {}
    """survey -> what was withheld"""
    scores: dict[str, dict[str, LastScore]] = {}
    """user -> survey kind -> the latest answer"""
    candidate_at: datetime | None = None
    """when lifecycle last called it a candidate for advocacy, until somebody was asked or an ask was withdrawn"""
    candidate_since: datetime | None = None
    """when it was first called one, of the signals that led to `candidate_at`"""
    stage_since: datetime | None = None
    """when it entered its stage; None where that was before we remembered it"""
    asks: tuple[Ask, ...] = ()
    favours: dict[str, datetime] = {}
    """user -> when another play asked them for a favour (a review, a reference), of the last cooldown"""
    codes: dict[str, str] = {}
    """user -> referral code"""
    signup: Signup | None = None
    payment: Payment | None = None
    refunds: tuple[Refund, ...] = ()

    @property
    def tenure(self) -> timedelta:
        return self.clock - self.first_seen_at if self.first_seen_at else timedelta()

    @property
    def emails(self) -> tuple[str, ...]:
        return tuple(sorted({contact.email for contact in self.contacts.values() if contact.email}))

    def find_ask(self, ask_id: str) -> Ask | None:
        return next((ask for ask in self.asks if ask.id == ask_id), None)


def advance_clock(account: Account, message: LifecycleMessage) -> Account:
    """The account's clock reaches the message. `first_seen_at` is the first message until lifecycle knows of an earlier time."""
    return replace(
        account,
        seq=message.seq,
        clock=max(account.clock, message.at),
        first_seen_at=account.first_seen_at or message.at,
        replaying=account.replaying and message.history,
        followed=account.followed or message.history,
    )


def apply_snapshot(account: Account, snapshot: Snapshot, definitions: Definitions) -> Account:
    """The account as the snapshot shows it."""
    return replace(
        account,
        stage=snapshot.stage,
        stage_since=account.clock if snapshot.stage != account.stage else account.stage_since,
        band=snapshot.band,
        score=snapshot.score,
        flags=tuple(sorted(snapshot.flags)),
        metrics={name: snapshot.metrics[name] for name in definitions.stored_metrics if name in snapshot.metrics},
        first_seen_at=_first_seen_at(account, snapshot),
    )


def _first_seen_at(account: Account, snapshot: Snapshot) -> datetime | None:
    """Only ever earlier: a tenure that was reached on the account's clock can never be reached once more."""
    tenure = snapshot.metrics.get(TENURE)
    if account.first_seen_at is None or isinstance(tenure, bool | str | None) or not 0 <= tenure < 36500:
        return account.first_seen_at
    return min(account.first_seen_at, account.clock - timedelta(days=tenure))


def apply_contact_change(account: Account, message: ContactChanged) -> Account:
    """A person became known or changed; what a message leaves out stays as it was."""
    before = account.contacts.get(message.user, Contact())
    contact = replace(
        before,
        email=message.email or before.email,
        name=message.name or before.name,
        role=(message.role or before.role).lower(),
        unsubscribed=message.unsubscribed,
        gone=message.gone,
    )
    return replace(account, contacts={**account.contacts, message.user: contact})


def apply_consent_change(account: Account, message: ConsentChanged) -> Account:
    """A person unsubscribed from a topic or came back; who comes back to everything is subscribed to every topic."""
    before = account.contacts.get(message.user, Contact())
    topics = set(before.unsubscribed_topics)
    if not message.granted:
        topics.add(message.topic)
    elif message.topic == "*":
        topics.clear()
    else:
        topics.discard(message.topic)
    unsubscribed = before.unsubscribed and not (message.granted and message.topic == "*")
    contact = replace(before, unsubscribed_topics=tuple(sorted(topics)), unsubscribed=unsubscribed)
    return replace(account, contacts={**account.contacts, message.user: contact})


def record_score(account: Account, user: str, kind: str, score: int, at: datetime) -> Account:
    """A person's latest answer of this kind; one that is older than the latest changes nothing."""
    scores = account.scores.get(user, {})
    if kind in scores and scores[kind].at > at:
        return account
    return replace(account, scores={**account.scores, user: {**scores, kind: LastScore(score, at)}})
