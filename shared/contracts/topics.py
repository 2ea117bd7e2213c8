"""Topics: who writes each, the messages it carries, and how messages of any age are decoded."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from shared.contracts import evidence
from shared.contracts.advocacy import AdvocacyMessage
from shared.contracts.lifecycle import LifecycleMessage
from shared.contracts.outreach import OutreachMessage
from shared.contracts.usage import UsageEvent


class KeyedMessage(Protocol):
    """A message: its account is the partition key, so that one account's messages keep their order."""

    @property
    def account(self) -> str: ...


class Topic(NamedTuple):
    """A topic, the one service that writes it (None: anybody may), and the type of its messages (None: any JSON).

    `upcast` gives a decoded message that an earlier version wrote the keys of today.
    """

    name: str
    producer: str | None
    message_type: Any
    upcast: Callable[[Any], Any] | None = None


USAGE_RAW = Topic("usage.raw.v1", None, None)
USAGE = Topic("usage.v1", "ingest", UsageEvent)
LIFECYCLE = Topic("lifecycle.v1", "lifecycle", LifecycleMessage, evidence.upcast)
OUTREACH = Topic("outreach.v1", "notify", OutreachMessage)
ADVOCACY = Topic("advocacy.v1", "advocacy", AdvocacyMessage)

TOPICS = (USAGE_RAW, USAGE, LIFECYCLE, OUTREACH, ADVOCACY)
ARCHIVED = frozenset({USAGE.name, LIFECYCLE.name, OUTREACH.name, ADVOCACY.name})
"""The topics of which every record stays in the outbox of the service that published it: what journals name, replays read."""


def decoder(topic: Topic) -> Callable[[bytes], Any]:
    """Decodes a topic's messages. Raises msgspec.DecodeError. Only what is not of today's contract is decoded twice."""
    decode, upcast = msgspec.json.Decoder(topic.message_type).decode, topic.upcast
    if upcast is None:
        return decode

    def decode_any(value: bytes) -> Any:
        try:
            return decode(value)
        except msgspec.ValidationError:
            return msgspec.convert(upcast(msgspec.json.decode(value)), topic.message_type)

    return decode_any
