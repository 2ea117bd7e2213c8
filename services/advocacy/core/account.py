"""What do we remember of an account? One small value, replaced and never changed, packed as msgpack."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from services.advocacy.core.referral import Payment, Signup
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import Band, Stage

BEFORE_ANYTHING = datetime(1970, 1, 1, tzinfo=UTC)

AskStatus = Literal["open", "accepted", "declined", "withdrawn"]


class Contact(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person who might be asked. `refused` are the topics they unsubscribed from (`*` is everything)."""

    email: str = ""
    name: str = ""
    role: str = ""
    unsubscribed: bool = False
    gone: bool = False
    refused: tuple[str, ...] = ()

    def may_hear(self, topic: str) -> bool:
        return not (self.gone or self.unsubscribed or topic in self.refused or "*" in self.refused)


class Sent(msgspec.Struct, frozen=True):
    """The latest invitation of one survey to one person."""

    id: str
    at: datetime


class Scored(msgspec.Struct, frozen=True):
    """A person's latest answer of one kind."""

    score: int
    at: datetime


class Ask(msgspec.Struct, frozen=True, omit_defaults=True):
    """We asked this person to refer others. `settled_at` is when the status left `open`."""

    id: str
    user: str
    at: datetime
    closes_at: datetime
    status: AskStatus = "open"
    settled_at: datetime | None = None
    history: bool = False


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account as advocacy sees it. `clock` is its own time, `seq` the last lifecycle message it has seen.

    `born` only ever moves earlier (see `fold.py`). `live` says that the wall clock may drive it.
    """

    id: str
    seq: int = 0
    clock: datetime = BEFORE_ANYTHING
    born: datetime | None = None
    live: bool = False
    stage: Stage = ""
    band: Band = "unknown"
    score: float | None = None
    flags: tuple[str, ...] = ()
    metrics: dict[str, Value] = {}
    contacts: dict[str, Contact] = {}
    sent: dict[str, dict[str, Sent]] = {}
    """user -> survey -> the latest invitation"""
    scores: dict[str, dict[str, Scored]] = {}
    """user -> survey kind -> the latest answer"""
    candidate_at: datetime | None = None
    """when lifecycle last called it a candidate for advocacy, until we asked or it fell from grace"""
    asks: tuple[Ask, ...] = ()
    codes: dict[str, str] = {}
    """user -> referral code"""
    signup: Signup | None = None
    payment: Payment | None = None

    @property
    def tenure(self) -> timedelta:
        return self.clock - self.born if self.born else timedelta()

    @property
    def emails(self) -> tuple[str, ...]:
        return tuple(sorted({contact.email for contact in self.contacts.values() if contact.email}))

    def asked(self, ask: str) -> Ask | None:
        return next((known for known in self.asks if known.id == ask), None)


_decoder = msgspec.msgpack.Decoder(Account)


def packed(account: Account) -> bytes:
    """The account as bytes for its row."""
    return msgspec.msgpack.encode(account)


def unpacked(raw: bytes) -> Account:
    """The account from its row."""
    return _decoder.decode(raw)
