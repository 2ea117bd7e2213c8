"""What is a channel? Something that sends one delivery and says what became of it."""

from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple, Protocol

import msgspec

from shared.contracts.outreach import OutreachClass

Outcome = Literal["accepted", "opened", "refused", "later", "again", "unknown"]
"""accepted: the other side has it; opened: a task stands; refused: never try this again; later: nothing was accepted,
try again; again: it may have arrived, but the other side knows a repeat by its id; unknown: it may have arrived, and
outreach is not sent twice."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one person, written and ready. `unsubscribe` is the one-click address, None for transactional."""

    id: str
    account: str
    play: str
    step: str
    outreach_class: OutreachClass
    subject: str
    text: str
    html: str
    user: str | None = None
    email: str | None = None
    name: str = ""
    unsubscribe: str | None = None


class Receipt(NamedTuple):
    """What became of it. `detail` is for the operator, short; `reference` what the other side calls it."""

    outcome: Outcome
    detail: str = ""
    reference: str = ""


PointOfNoReturn = Callable[[], Awaitable[None]]
"""Called just before the delivery might be accepted: commit there that it may have been sent."""


class Channel(Protocol):
    """Sends. Every way it can go is a receipt; what it raises is a bug, or what `before` raised: then nothing was sent."""

    async def send(self, delivery: Delivery, before: PointOfNoReturn) -> Receipt: ...


async def nothing() -> None:
    """For whoever has nothing to commit."""
