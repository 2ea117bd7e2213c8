"""How much is measured? One plan for all rows, so that they can be compared."""

from typing import NamedTuple

ACCOUNTS = 5_000
SIZE = 100
"""Events a post."""
CONNECTIONS = 4
ROWS = ("embedded", "scaled", "raw")
_STARTING = 12.0
_EXPECTED = 8_000
"""Events a second we expect, only to say beforehand how long it will take."""


class Plan(NamedTuple):
    """What every round does: events at full speed, then some seconds at a quarter of that speed."""

    rows: tuple[str, ...]
    rounds: int
    events: int
    calm: float

    @property
    def deployments(self) -> list[str]:
        """The raw row reads what the scaled rounds wrote."""
        return [
            name for name in ("embedded", "scaled") if name in self.rows or (name == "scaled" and "raw" in self.rows)
        ]

    @property
    def seconds(self) -> float:
        """About how long it will take."""
        each = _STARTING + (ACCOUNTS + self.events) / _EXPECTED + self.calm
        return len(self.deployments) * self.rounds * each


def plan_of(rows: str, *, quick: bool) -> Plan:
    """Raises ValueError for a row that there is not."""
    wanted = tuple(filter(None, rows.split(",")))
    unknown = sorted(set(wanted) - set(ROWS))
    if unknown or not wanted:
        raise ValueError(f"unknown rows {', '.join(unknown) or '(none)'}: choose from {','.join(ROWS)}")
    return Plan(wanted, 3, 20_000, 3.0) if quick else Plan(wanted, 5, 80_000, 8.0)
