"""Account state of notify: one immutable value, bounded, read and written whole; its layouts; consent, which is part of it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from shared.contracts.evidence import Value
from shared.contracts.lifecycle import Band
from shared.contracts.outreach import ConsentChanged

EVERYTHING = "*"
TRANSACTIONAL = "transactional"
MAX_CONTACTS = 1000
MAX_RUNS = 500
MAX_REQUEST_IDS = 64
MAX_SNAPSHOTS = 5
MAX_PLANNED_SENDS = 200
UNORDERED = -1
"""The position of a step that sends nothing."""

SuppressionReason = Literal["unsubscribed", "imported", "bounced", "complained"]
"""Why a person is not written to. unsubscribed: they said so; imported: a list of an earlier tool says so."""

ANSWERABLE: frozenset[SuppressionReason] = frozenset({"unsubscribed", "imported"})
"""What the person takes back by a yes, and what leaves transactional mail alone."""


class Refusal(NamedTuple):
    """One thing that speaks against writing to a person about a topic (`*` is every topic)."""

    topic: str
    reason: SuppressionReason

    def forbids(self, class_: str, topic: str) -> bool:
        """Whether it speaks against a message of this class and topic. A dead address is dead for transactional mail too."""
        if class_ == TRANSACTIONAL and self.reason in ANSWERABLE:
            return False
        return self.topic in {EVERYTHING, class_, topic}


class Contact(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A person of the account, from lifecycle's latest message about them. A no stays until it is taken back."""

    email: str | None = None
    name: str | None = None
    role: str | None = None
    timezone: str | None = None
    unsubscribed: bool = False
    gone: bool = False
    email_trusted: bool = True


class MetricSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values of some metrics at one time, to say later how they changed."""

    at: datetime
    metrics: dict[str, float]


class AccountView(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The account as its latest lifecycle message shows it; that was at `at`."""

    stage: str = ""
    entered_at: datetime | None = None
    flags: list[str] = []
    band: Band = "unknown"
    score: float | None = None
    metrics: dict[str, Value] = {}
    traits: dict[str, Value] = {}
    milestones: dict[str, datetime] = {}
    snapshots: list[MetricSnapshot] = []
    at: datetime | None = None


class Request(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a request of advocacy brought along for a run."""

    user: str
    link: str
    values: dict[str, Value] = {}
    expires_at: datetime | None = None
    history: bool = False


class PendingStep(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One step of a run that is still to come; `user` once it is meant for somebody.

    `position` is its place in the run: a step waits for those before it, one that sends nothing (`UNORDERED`) for none. From `gives_way_at` on it is done or left out,
    whatever it waits for: a task behind it is due, and people are not kept waiting by a mail.
    """

    step: str
    due: datetime
    expires_at: datetime
    user: str | None = None
    awaiting_contact: bool = False
    position: int = 0
    gives_way_at: datetime | None = None

    @property
    def next_look(self) -> datetime:
        """When it is looked at, unless a step before it is still to come."""
        return self.due if self.gives_way_at is None else min(self.due, self.gives_way_at)


class PastStep(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What became of a step for one person: it `left` at this time (a task: was opened), or for a reason did not (yet: none)."""

    step: str
    delivery: str
    at: datetime
    user: str | None = None
    left: bool = False
    reason: str = ""
    done_at: datetime | None = None


class Run(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A play under way. `occurrence` is the id of the message that started it."""

    play: str
    occurrence: str
    started_at: datetime
    pending: list[PendingStep]
    request: Request | None = None
    past: list[PastStep] = []

    def same_as(self, other: "Run") -> bool:
        """Whether it is the same run, whatever is pending."""
        return (self.play, self.occurrence) == (other.play, other.occurrence)

    @property
    def next_steps(self) -> list[PendingStep]:
        """Those that wait for no other: the first that sends something, for each person it is meant for, and all that do not."""
        first = min((step.position for step in self.pending if step.position != UNORDERED), default=UNORDERED)
        return [step for step in self.pending if step.position in {first, UNORDERED}]


class BudgetEntry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A contact that counts against the contact budget.

    `history`: it was only decided in a replay, and is forgotten when the account goes live. `previewed`: it was only shown, and
    counts for what else is shown; what leaves is not held back by it.
    """

    delivery: str
    user: str
    class_: str
    topic: str
    at: datetime
    history: bool = False
    previewed: bool = False


class OpenTask(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The latest task of a play that nobody has closed yet, of the run with this occurrence; `earlier` tasks of it are open too."""

    delivery: str
    at: datetime
    history: bool = False
    occurrence: str = ""
    earlier: list[str] = []

    def closed(self, delivery: str) -> "OpenTask | None":
        """What is open when this one is closed."""
        if delivery != self.delivery:
            return replace(self, earlier=[other for other in self.earlier if other != delivery])
        return replace(self, delivery=self.earlier[-1], earlier=self.earlier[:-1]) if self.earlier else None

    def followed_by(self, later: "OpenTask") -> "OpenTask":
        """The next task of the same run takes its place, and it stays open."""
        same = self.occurrence == later.occurrence and self.delivery != later.delivery
        return replace(later, earlier=[*self.earlier, self.delivery]) if same else later


class PlannedSend(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A message that was decided on and may not have left yet; `stopped` is what ended its play since.

    A stop may show for a moment only (a fact, a signal): it is noted here, and asked for when the message leaves.
    """

    delivery: str
    play: str
    expires_at: datetime
    stopped: str = ""


class Account(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """All that is remembered of an account. `replaying` while an import and not the wall clock drives it.

    `seq` is the latest lifecycle message taken, `heard_seq` the latest that waits (0: none does); `advocacy_seq` is how far
    advocacy says that it has followed (`order.py`).
    """

    id: str
    clock: datetime | None = None
    seq: int = 0
    heard_seq: int = 0
    advocacy_seq: int = 0
    waiting_requests: list[str] = []
    """Ids of the requests that wait for a message of lifecycle, in the order in which they came."""
    replaying: bool = False
    view: AccountView = AccountView()
    contacts: dict[str, Contact] = {}
    declined_topics: dict[str, list[str]] = {}
    """User -> topics they declined."""
    refused_elsewhere: dict[str, list[Refusal]] = {}
    """User -> what their address, or they in another account, refused when we last looked."""
    runs: list[Run] = []
    last_contacted: dict[str, datetime] = {}
    """Play -> when it last reached somebody, or would have but for the holdout: its cooldown counts from there."""
    budget_entries: list[BudgetEntry] = []
    open_tasks: dict[str, OpenTask] = {}
    """Play -> its open task."""
    request_ids: list[str] = []
    """Ids of the latest requests, oldest first: a relay may repeat itself."""
    planned_sends: list[PlannedSend] = []
    """Messages to send, whether or not they have left, until they expire."""

    @property
    def waits(self) -> bool:
        """Whether something that has come is not taken yet: time does not pass for the account before."""
        return self.heard_seq > 0 or bool(self.waiting_requests)

    def pending_of(self, run: Run) -> list[PendingStep]:
        """The steps of the run that are still to come, as the account has them now."""
        return next((other.pending for other in self.runs if other.same_as(run)), [])

    def stopped(self, delivery: str) -> str:
        """What ended the play of a message since it was decided on; empty where nothing did."""
        return next((one.stopped for one in self.planned_sends if one.delivery == delivery), "")

    def with_pending(self, run: Run, pending: list[PendingStep]) -> "Account":
        """With these steps of the run to come; a run with nothing left to do is over."""
        others = [other for other in self.runs if not other.same_as(run)]
        present = next((other for other in self.runs if other.same_as(run)), run)
        return replace(self, runs=[*others, replace(present, pending=pending)] if pending else others)


LAYOUT = 2


def from_layout_1(plain: dict[str, Any]) -> dict[str, Any]:
    """Layout 2 renamed keys."""
    account = _renamed(plain, _ACCOUNT_KEYS)
    if "view" in account:
        account["view"] = _renamed(account["view"], {"marks": "snapshots"})
    account["runs"] = [_run_from_layout_1(run) for run in account.get("runs", [])]
    return account


def _run_from_layout_1(plain: dict[str, Any]) -> dict[str, Any]:
    run = _renamed(plain, {"items": "pending", "ask": "request"})
    return run | {"pending": [_renamed(step, {"waiting": "awaiting_contact"}) for step in run["pending"]]}


_ACCOUNT_KEYS = {
    "held": "replaying",
    "refused": "declined_topics",
    "contacted": "last_contacted",
    "spent": "budget_entries",
    "tasks": "open_tasks",
    "requests": "request_ids",
}


def _renamed(plain: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in plain.items()}


def has_declined(account: Account, user: str, class_: str, topic: str) -> bool:
    """Whether they declined messages of this class or topic. Transactional ones (a failed payment) are no marketing."""
    if class_ == TRANSACTIONAL:
        return False
    contact = account.contacts.get(user)
    declined = account.declined_topics.get(user, [])
    return bool(contact and contact.unsubscribed) or not {EVERYTHING, class_, topic}.isdisjoint(declined)


def refused_elsewhere(account: Account, user: str, class_: str, topic: str) -> Refusal | None:
    """What the person refused in other accounts that speaks against such a message, as far as the account knows.

    An account that replays a history does not ask: nothing leaves, and what others said by now was not said then.
    """
    if account.replaying:
        return None
    theirs = account.refused_elsewhere.get(user, ())
    return next((refusal for refusal in theirs if refusal.forbids(class_, topic)), None)


def apply_consent(account: Account, change: ConsentChanged) -> Account:
    """The account after a person unsubscribed from a topic or came back. Coming back to everything clears every no."""
    if change.granted and change.topic == EVERYTHING:
        account = _subscribed(account, change.user)
    topics = set(account.declined_topics.get(change.user, []))
    topics = topics - {change.topic} if change.granted else topics | {change.topic}
    if change.granted and change.topic == EVERYTHING:
        topics = set()
    others = {user: declined for user, declined in account.declined_topics.items() if user != change.user}
    return replace(account, declined_topics=others | ({change.user: sorted(topics)} if topics else {}))


def _subscribed(account: Account, user: str) -> Account:
    contact = account.contacts.get(user)
    if contact is not None and contact.unsubscribed:
        account = replace(account, contacts=account.contacts | {user: replace(contact, unsubscribed=False)})
    if user not in account.refused_elsewhere:
        return account
    kept = [refusal for refusal in account.refused_elsewhere[user] if refusal.reason not in ANSWERABLE]
    return with_refusals(account, {user: kept})


def with_refusals(account: Account, refusals: Mapping[str, Iterable[Refusal]]) -> Account:
    """The account with what these users refused elsewhere; who refused nothing is left out."""
    found = account.refused_elsewhere | {user: sorted(theirs) for user, theirs in refusals.items()}
    kept = {user: theirs for user, theirs in found.items() if theirs}
    return account if kept == account.refused_elsewhere else replace(account, refused_elsewhere=kept)
