"""What do we remember of an account? One immutable value, bounded, read and written whole."""

from datetime import datetime

import msgspec

from shared.contracts.evidence import Value
from shared.contracts.lifecycle import Band

MOST_CONTACTS = 1000
MOST_RUNS = 500
MOST_REQUESTS_SEEN = 64
MARKS = 5


class Contact(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person of the account, as lifecycle last told."""

    email: str | None = None
    name: str | None = None
    role: str | None = None
    timezone: str | None = None
    unsubscribed: bool = False
    gone: bool = False


class Mark(msgspec.Struct, frozen=True):
    """How some metrics stood once, to say later what changed."""

    at: datetime
    metrics: dict[str, float]


class AccountView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The account as its last message showed it."""

    stage: str = ""
    entered_at: datetime | None = None
    flags: list[str] = []
    band: Band = "unknown"
    score: float | None = None
    metrics: dict[str, Value] = {}
    traits: dict[str, Value] = {}
    milestones: dict[str, datetime] = {}
    marks: list[Mark] = []


class Ask(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a request brought along."""

    user: str
    link: str
    values: dict[str, Value] = {}
    expires_at: datetime | None = None
    history: bool = False


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of a run that is still to come; `user` once it is meant for somebody. `waiting` for a contact."""

    step: str
    due: datetime
    expires_at: datetime
    user: str | None = None
    waiting: bool = False


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """A play under way. `occurrence` is the id of the message that started it."""

    play: str
    occurrence: str
    started_at: datetime
    items: list[Item]
    ask: Ask | None = None


class Spent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A contact that counts against the budget. `history`: only imagined, forgotten when the account goes live."""

    delivery: str
    user: str
    class_: str
    topic: str
    at: datetime
    history: bool = False


class OpenTask(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task of a play that nobody closed yet."""

    delivery: str
    at: datetime
    history: bool = False


class Account(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of it. `held` while an import drives the account; `refused` is user -> topics they declined."""

    id: str
    clock: datetime | None = None
    seq: int = 0
    held: bool = False
    view: AccountView = AccountView()
    contacts: dict[str, Contact] = {}
    refused: dict[str, list[str]] = {}
    runs: list[Run] = []
    contacted: dict[str, datetime] = {}
    """Play -> when it last reached somebody, or would have but for the holdout: its rest counts from there."""
    spent: list[Spent] = []
    tasks: dict[str, OpenTask] = {}
    requests: list[str] = []
    """Ids of the latest requests, oldest first: a relay may repeat itself."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Account)


def encode(account: Account) -> bytes:
    """The account as bytes; the same account gives the same bytes."""
    return _ENCODER.encode(account)


def decode(data: bytes) -> Account:
    """The account these bytes are. Raises msgspec.ValidationError where they are none."""
    return _DECODER.decode(data)
