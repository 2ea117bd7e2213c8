"""Evidence: plain data that is judged after a run, whether it comes from real servers or from the simulation."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

_NOT_YET = datetime(1970, 1, 1, tzinfo=UTC)


class Partition(NamedTuple):
    """One group's piece of a topic."""

    group: str
    topic: str
    part: int


class Move(NamedTuple):
    """One change of a cursor, from `was` to `now`, as the database itself noted it."""

    partition: Partition
    was: int
    now: int
    epoch: int


class Span(NamedTuple):
    """Where the log begins and ends."""

    begin: int
    end: int


class Event(NamedTuple):
    """One record of `usage.v1`: the id its sender gave it, and the account it was placed in."""

    id: str
    account: str


class PublishedMessage(NamedTuple):
    """One lifecycle message: its place among the account's messages, and its id."""

    account: str
    seq: int
    id: str


class TopicRecord(NamedTuple):
    """One record of a topic as it lies there. `seq` is its place in its producer's own log."""

    topic: str
    part: int
    offset: int
    seq: int
    id: str
    message: PublishedMessage | None = None
    """For `lifecycle.v1`: what it says."""


class Send(NamedTuple):
    """One message that a sink accepted, from the sink's own journal, written before the sink answered.

    `occasion` says what it is about (play, account, occurrence, step, person, channel), apart from any id. `at` is
    seconds since 1970 on the sink's clock. `address` is the person's, in lower case; empty where none is known.
    """

    channel: str
    delivery: str
    occasion: str
    account: str
    user: str
    outreach_class: str
    topic: str
    at: float
    address: str = ""


class Cap(NamedTuple):
    """At most so many in so many seconds, for a person or a whole account; no classes and topics: all of them."""

    name: str
    max: int
    within: float
    account: bool
    classes: frozenset[str]
    topics: frozenset[str]


class Consent(NamedTuple):
    """In notify's own order: what a person said of a topic (`*`: everything), or that a message to them passed the point of no return.

    `address` is theirs, in lower case; empty where none is known.
    """

    account: str
    user: str
    what: Literal["no", "yes", "last word"]
    topic: str
    outreach_class: str = ""
    delivery: str = ""
    address: str = ""


class Entry(NamedTuple):
    """One line of the ledger."""

    transaction: str
    reward: str
    account: str
    amount: int
    currency: str


class Reward(NamedTuple):
    """One side of a referral."""

    id: str
    referral: str
    side: str


class Replayed(NamedTuple):
    """An account's state as it is, and as the archive gives it again: their hashes."""

    live: str
    again: str


class TrustedFact(NamedTuple):
    """Something that only the company may say: as the product has it, and as events of its server alone give it."""

    what: str
    live: str
    told: str


class Age(NamedTuple):
    """An account's first moment and its clock as the product has them, and the earliest that its events may have happened."""

    account: str
    first_seen: datetime
    clock: datetime
    earliest: datetime


class Receipt(NamedTuple):
    """When an event was posted first, and when the product says that it received it."""

    event: str
    posted: datetime
    received: datetime


@dataclass
class Evidence:
    """Everything of one run.

    `accepted` are the ids of events the client was told are safe; `parked` those of records set aside, `allowed`
    those that were meant to be. `counted` is how many events each account's state has counted.
    """

    moves: list[Move] = field(default_factory=list)
    spans: dict[Partition, Span] = field(default_factory=dict)
    posted: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    archive: list[Event] = field(default_factory=list)
    parked: set[str] = field(default_factory=set)
    allowed: set[str] = field(default_factory=set)
    counted: dict[str, int] = field(default_factory=dict)
    messages: list[PublishedMessage] = field(default_factory=list)
    last_seq: dict[str, int] = field(default_factory=dict)
    records: list[TopicRecord] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    sends_after_reread: int = 0
    """How many messages left while notify read its whole log once more."""
    moved_by_reread: list[str] = field(default_factory=list)
    """The accounts of which notify knew something else after that."""
    caps: list[Cap] = field(default_factory=list)
    consents: list[Consent] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    rewards: list[Reward] = field(default_factory=list)
    replayed: dict[str, Replayed] = field(default_factory=dict)
    claimed: int = 0
    """How many events a browser told."""
    trusted: list[TrustedFact] = field(default_factory=list)
    lies: int = 0
    """How many events said a time that may not be believed."""
    ages: list[Age] = field(default_factory=list)
    waits_alone: list[float] = field(default_factory=list)
    """Seconds from the 200 to the decision of each honest event while nothing failed, under the honest load alone."""
    waits_among_others: list[float] = field(default_factory=list)
    """The same while others sent what they like."""
    receipts: list[Receipt] = field(default_factory=list)
    ended: datetime = _NOT_YET
    """When the evidence was collected, by the clock that is furthest ahead."""
    midnights: dict[str, int] = field(default_factory=dict)
    """For each account at how many midnights the core looked for the one event, or turn of time, that made it look at most."""
