"""Which topics are there, who writes them, and what do they carry?"""

from typing import Any, NamedTuple, Protocol

from shared.contracts.advocacy import AdvocacyMessage
from shared.contracts.lifecycle import LifecycleMessage
from shared.contracts.outreach import OutreachMessage
from shared.contracts.usage import UsageEvent


class Keyed(Protocol):
    """A message: its account is the partition key, so that one account's messages keep their order."""

    @property
    def account(self) -> str: ...


class Topic(NamedTuple):
    """A topic, the one service that writes it (None: anybody may), and the type of its messages (None: any JSON)."""

    name: str
    owner: str | None
    carries: Any


USAGE_RAW = Topic("usage.raw.v1", None, None)
USAGE = Topic("usage.v1", "ingest", UsageEvent)
LIFECYCLE = Topic("lifecycle.v1", "lifecycle", LifecycleMessage)
OUTREACH = Topic("outreach.v1", "notify", OutreachMessage)
ADVOCACY = Topic("advocacy.v1", "advocacy", AdvocacyMessage)

TOPICS = (USAGE_RAW, USAGE, LIFECYCLE, OUTREACH, ADVOCACY)
