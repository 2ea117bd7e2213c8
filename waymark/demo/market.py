"""What does the demo company sell, at which price, and who looks after its customers?

Quayside sells shared dashboards and reports to operations teams of small and middling companies. It is invented.
"""

from typing import NamedTuple

COMPANY = "Quayside"
CURRENCY = "USD"

FEATURES = (
    "dashboards",
    "reports",
    "alerts",
    "data_sync",
    "annotations",
    "scheduled_exports",
    "goals",
    "mobile",
)
REPORTS = ("weekly throughput", "late orders", "shift coverage", "cost per order", "backlog", "quality audit")
AUDIENCES = ("team", "management", "board", "partner")
VALUES = ("report automated", "incident avoided", "audit passed", "overtime saved")


class Segment(NamedTuple):
    """A size of customer: the plan it buys, the seats it needs, and how long it signs for."""

    name: str
    plan: str
    seats: tuple[int, int]
    price: int
    """Per seat and month."""
    term: int
    """Days until the subscription is renewed."""


SEGMENTS = (
    Segment("smb", "Starter", (4, 8), 29, 182),
    Segment("mid", "Growth", (8, 16), 45, 365),
    Segment("enterprise", "Scale", (18, 30), 62, 365),
)

CSMS = ("Maren Solheim", "Tobias Achterberg", "Nkechi Okonjo", "Paula Ferreira", "Jun Takeda")

TIMEZONES = {
    "Europe/London": 0,
    "Europe/Berlin": 1,
    "Europe/Helsinki": 2,
    "America/New_York": -5,
    "America/Chicago": -6,
    "America/Sao_Paulo": -3,
    "Asia/Singapore": 8,
}
"""Hours ahead of UTC, without summer time: offices open an hour early for half the year, and nobody minds."""
