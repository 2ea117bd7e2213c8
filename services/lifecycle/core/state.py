"""What do we remember of an account?

Whoever decoded an `Account` owns it: `fold` and `advance` change it in place. After an exception it is in pieces:
throw it away and decode the stored bytes again.
"""

from datetime import datetime

import cramjam
import msgspec

from services.lifecycle.core.crowd import Crowd
from services.lifecycle.core.series import Series
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import Band

Mark = bytes
"""One event as it is remembered (`marks.py`)."""


class Span(msgspec.Struct, array_like=True, gc=False):
    """When a class of events was first and last seen."""

    first: datetime
    last: datetime


class Told(msgspec.Struct, array_like=True, gc=False):
    """A value and when it was told: the later one wins, in whatever order they arrive."""

    at: datetime
    value: Value


class Raised(msgspec.Struct, array_like=True, gc=False):
    """When a signal was last raised, and whether that occurrence still lasts."""

    at: datetime
    lasts: bool


class Contact(msgspec.Struct, array_like=True, gc=False):
    """A person as identify told, field by field."""

    at: datetime
    email: str | None = None
    name: str | None = None
    role: str | None = None
    timezone: str | None = None
    unsubscribed: bool = False


class HealthState(msgspec.Struct, array_like=True, gc=False):
    """The last evaluation, and the band it leans to before it has leant there often enough."""

    band: Band = "unknown"
    score: float | None = None
    coverage: float = 0.0
    leaning: Band = "unknown"
    times: int = 0


class Account(msgspec.Struct, array_like=True):
    """All that the next decision can depend on. `stage` is empty until the first event was folded.

    `definition` is the version it was last folded under, `known` which of that definition's stores have data (bits).
    """

    id: str
    clock: datetime
    born: datetime
    entered_at: datetime
    stage: str = ""
    seq: int = 0
    due: datetime | None = None
    held: bool = False
    flags: dict[str, datetime] = {}
    milestones: dict[str, datetime] = {}
    since: dict[str, datetime] = {}
    signals: dict[str, Raised] = {}
    health: HealthState = msgspec.field(default_factory=HealthState)
    traits: dict[str, Told] = {}
    contacts: dict[str, Contact] = {}
    series: dict[str, Series] = {}
    crowds: dict[str, Crowd] = {}
    spans: dict[str, Span] = {}
    latest: dict[str, Told] = {}
    opened: dict[str, dict[str, Told]] = {}
    marks: dict[str, list[Mark]] = {}
    definition: str = ""
    known: int = 0


class Summary(msgspec.Struct, frozen=True):
    """The account in a list: what a table row needs, without decoding the rest."""

    stage: str
    entered_at: datetime
    flags: list[str]
    band: Band
    score: float | None
    clock: datetime
    next_due: datetime | None
    held: bool
    seq: int


_LONG = 1_500
_PACKED = b"\0"
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Account)


def encode_state(account: Account) -> bytes:
    """MessagePack, fields by position; where that is long, compressed (LZ4) behind a byte with which no account begins.

    Beyond some 2,000 bytes PostgreSQL would compress a row by itself, with every write, at ten times the cost.
    """
    plain = _encoder.encode(account)
    return plain if len(plain) <= _LONG else _PACKED + bytes(cramjam.lz4.compress_block(plain))


def decode_state(stored: bytes) -> Account:
    """The account as it was encoded."""
    return _decoder.decode(cramjam.lz4.decompress_block(stored[1:]) if stored[:1] == _PACKED else stored)


def begin(account: str, at: datetime) -> Account:
    """An account nobody has heard of, about to fold its first event (of time `at`)."""
    return Account(account, at, at, at)


def next_due(account: Account) -> datetime | None:
    """The next midnight, at which `advance` has something to do; None in a terminal stage."""
    return account.due


def summary(account: Account) -> Summary:
    """What a list shows."""
    health = account.health
    return Summary(
        stage=account.stage,
        entered_at=account.entered_at,
        flags=list(account.flags),
        band=health.band,
        score=health.score,
        clock=account.clock,
        next_due=account.due,
        held=account.held,
        seq=account.seq,
    )
