"""Profile: minutes, seed and deployment of a run, and the settings of its processes."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from deploy.servers.ports import HOST, free_port
from tests.chaos.fleet import Slot
from tests.chaos.sinks import Sinks
from tests.chaos.trusted import BROWSER
from waymark.assembly import WIRES

COMPANY = Path(__file__).parent / "company"
SESSION = 2
"""Seconds a group waits for a member that does not answer."""

WRITE_KEY, ADMIN_KEY = "wm_write_chaos_chaos_chaos", "wm_admin_chaos_chaos_chaos"
BROWSER_KEY = "wm_browser_chaos_chaos_chaos"
Deployment = Literal["scaled", "embedded"]
_REPLICAS: Sequence[tuple[str, int, int]] = (
    ("ingest", 2, 2),
    ("lifecycle", 3, 2),
    ("notify", 2, 2),
    ("advocacy", 2, 1),
)
"""Of each service how many there may be, and how many there are at first: replicas come and go."""


class Profile(NamedTuple):
    """One run of one deployment. `rate` is about how many events a second are posted."""

    deployment: Deployment
    seconds: float
    seed: int
    mutant: str
    rate: float


def slots(deployment: Deployment) -> list[Slot]:
    """One process for all, or some for each service."""
    if deployment == "embedded":
        return [Slot("waymark", list(WIRES), free_port())]
    return [
        Slot(f"{service}-{number}", [service], free_port(), wanted=number <= at_first)
        for service, most, at_first in _REPLICAS
        for number in range(1, most + 1)
    ]


def environment(folder: Path, sinks: Sinks) -> dict[str, str]:
    """What every process is told."""
    secret = base64.b64encode(b"chaos" * 6).decode()
    return {
        "WAYMARK_DATA": str(folder / "data"),
        "WAYMARK_CONFIG": str(COMPANY),
        "WAYMARK_HOST": HOST,
        "WAYMARK_PUBLIC_URL": "http://customers.chaos.example",
        "WAYMARK_SECRET": "chaos" * 8,
        "WAYMARK_KEYS": f"write:chaos:{WRITE_KEY},admin:chaos:{ADMIN_KEY},browser:{BROWSER}:{BROWSER_KEY}",
        "WAYMARK_SMTP_URL": f"smtp://{HOST}:{sinks.mail_port}",
        "WAYMARK_WEBHOOK_URL": f"http://{HOST}:{sinks.hook_port}/",
        "WAYMARK_WEBHOOK_SECRET": f"whsec_{secret}",
        "WAYMARK_EGRESS_ALLOW": "127.0.0.0/8",
        "WAYMARK_OUTREACH": "live",
        "WAYMARK_LIVE_DESPITE": "all",
        "WAYMARK_FIRST_SENDS": "0",
        "WAYMARK_SEND_LEASE": "6",
        "WAYMARK_SESSION_SECONDS": str(SESSION),
    }
