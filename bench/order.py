"""What is the load generator told, and what does it tell? One JSON line each way."""

import msgspec

from bench.events import name_of, spread
from bench.plan import ACCOUNTS, CONNECTIONS, SIZE


class Order(msgspec.Struct, frozen=True):
    """Post events `first` to `first + events`; with `newcomers` each batch begins with the first event of a new account.

    `rate` is events a second; 0 is as fast as answers come. `each_once` gives every account one event.
    """

    port: int
    key: str
    stream: str
    events: int
    rate: float = 0.0
    newcomers: bool = False
    each_once: bool = False
    size: int = SIZE
    connections: int = CONNECTIONS

    def accounts(self) -> list[tuple[int, int]]:
        """Each event's number and account."""
        return [(number, self._account(number)) for number in range(self.events)]

    def newcomer(self, batch: int) -> str | None:
        """The account that this batch is the first to name."""
        return name_of(ACCOUNTS + batch) if self.newcomers else None

    def _account(self, number: int) -> int:
        if self.newcomers and number % self.size == 0:
            return ACCOUNTS + number // self.size
        return number % ACCOUNTS if self.each_once else spread(number, ACCOUNTS)


class Posted(msgspec.Struct, frozen=True):
    """When the first post began and the last was answered (monotonic clock), how many events were accepted, how often not.

    `answered` is when the 200 for each newcomer's batch came.
    """

    begun: float
    ended: float
    accepted: int
    refused: int
    answered: dict[str, float]
