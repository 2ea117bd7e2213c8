"""What does a transaction publish? Messages wait in it, and become rows of the log just before it commits."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from shared.contracts.topics import Keyed, Topic
from shared.db.protocol import Tx


class Emitted(NamedTuple):
    """Messages for one topic, in order; each has an `account`, its key."""

    topic: Topic
    messages: Iterable[Keyed]


class Log(Protocol):
    """The outgoing log that lives beside the state."""

    async def append(self, tx: Tx, emitted: list[Emitted]) -> None:
        """Write the messages as rows of this transaction, the last thing before its commit."""
        ...

    def appended(self, topics: set[str]) -> None:
        """They are committed: wake whoever carries or reads them."""
        ...
