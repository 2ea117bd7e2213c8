"""Plan: the sizes and rounds of a measurement, one for all rows, so that they can be compared."""

from typing import NamedTuple

THRESHOLD = 10
"""Events after which an account makes its one transition."""
MOST_ACCOUNTS = 5_000
_LEAST_EACH = 12
SIZE = 100
"""Events a post on the road."""
CONNECTIONS = 4
ROAD_ACCOUNTS = 5_000


def accounts_of(events: int) -> int:
    """As many accounts as every runner should have, as long as most get past their transition."""
    return min(MOST_ACCOUNTS, events // _LEAST_EACH)


def warm(events: int) -> int:
    """So many are handled before the clock starts: a tenth. Connections, statements and a JVM get warm on them."""
    return events // 10


class Plan(NamedTuple):
    """What every round does. `accounts` are the sizes of the three rows `accounts-...`; None: that size is not tried."""

    name: str
    rounds: int
    events: int
    road_events: int
    offered: float
    calm: float
    posting: float
    sizes: tuple[int, int, int | None]
    more: int
    memory: int

    def share(self, share: float) -> int:
        """Fewer events, for a runner that would take all night."""
        return max(_LEAST_EACH, int(self.events * share))


FULL = Plan(
    name="full",
    rounds=5,
    events=600_000,
    road_events=80_000,
    offered=8.0,
    calm=6.0,
    posting=2.0,
    sizes=(1_000, 100_000, 1_000_000),
    more=400_000,
    memory=300_000,
)
QUICK = Plan(
    name="quick",
    rounds=1,
    events=60_000,
    road_events=20_000,
    offered=3.0,
    calm=2.0,
    posting=1.0,
    sizes=(1_000, 100_000, None),
    more=80_000,
    memory=100_000,
)
TINY = Plan(
    name="tiny",
    rounds=2,
    events=12_000,
    road_events=3_000,
    offered=1.0,
    calm=1.0,
    posting=0.3,
    sizes=(100, 1_000, 3_000),
    more=3_000,
    memory=6_000,
)
PLANS = {plan.name: plan for plan in (FULL, QUICK, TINY)}
"""`tiny` proves that every row works; its figures mean nothing."""
