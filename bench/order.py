"""What is the load generator told, and what does it tell? One JSON line each way."""

import msgspec

from bench.plan import CONNECTIONS, ROAD_ACCOUNTS, SIZE
from bench.stream import name_of, spread


class Order(msgspec.Struct, frozen=True):
    """Post events `first` to `first + events`; with `newcomers` each batch begins with the first event of a new account.

    `rate` is events a second; 0 is as fast as answers come. `each_once` gives every account one event. With `seconds`
    the same posts come again and again until that time is over.
    """

    port: int
    key: str
    stream: str
    events: int
    rate: float = 0.0
    newcomers: int = 0
    each_once: bool = False
    seconds: float = 0.0
    size: int = SIZE
    connections: int = CONNECTIONS

    def accounts(self) -> list[tuple[int, int]]:
        """Each event's number and account."""
        return [(number, self._account(number)) for number in range(self.events)]

    def newcomer(self, batch: int) -> str | None:
        """The account that this batch is the first to name: those from `newcomers` on."""
        return name_of(self.newcomers + batch) if self.newcomers else None

    def _account(self, number: int) -> int:
        if self.newcomers and number % self.size == 0:
            return self.newcomers + number // self.size
        return number % ROAD_ACCOUNTS if self.each_once else spread(number, ROAD_ACCOUNTS)


class Posted(msgspec.Struct, frozen=True):
    """When the first post began and the last was answered (monotonic clock), how many events were accepted, how often not.

    `answered` is when the 200 for each batch came, by its place; `posts` how many there were.
    """

    begun: float
    ended: float
    accepted: int
    refused: int
    posts: int
    answered: dict[int, float]
