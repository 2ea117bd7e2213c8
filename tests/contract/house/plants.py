"""Lines that each import contract must refuse: the contract's name, and the lines it puts into which modules."""

from typing import NamedTuple

SERVICES = ("ingest", "lifecycle", "notify", "advocacy", "console")


class Plant(NamedTuple):
    """A violation. A module that does not exist yet is made."""

    contract: str
    lines: dict[str, str]

    def __str__(self) -> str:
        return ", ".join(f"{module}: {line}" for module, line in self.lines.items())


def _each(contract: str, module: str, *lines: str) -> list[Plant]:
    return [Plant(contract, {module: line}) for line in lines]


INDEPENDENT = "Services do not know each other"
FLOORS = "Waymark stands on services, services on shared"
SHIPPED = "What ships imports nothing that does not"
PURE = "Contracts and cores do no I/O"
TOLD = "Contracts and cores are told the time"
OFFLINE = "Handlers and stores reach no network"
ACCESS, BUS, RUNTIME = "Inside access", "Inside the bus", "Inside the service runtime"
ADVOCACY_CORE = "Inside advocacy's core"
LIFECYCLE_CORE = "Inside lifecycle's core"
INSIDE = {service: f"Inside {service}" for service in SERVICES}

_NEIGHBOURS = [
    Plant(
        INDEPENDENT,
        {f"services.{one}.core.planted": f"import services.{other}.core.planted", f"services.{other}.core.planted": ""},
    )
    for one, other in zip(SERVICES, SERVICES[1:] + SERVICES[:1], strict=True)
]
_STRAYS = [Plant(INSIDE[service], {f"services.{service}.utils": ""}) for service in SERVICES]
_PURE_CORES = [Plant(PURE, {f"services.{service}.core.planted": "import shared.db.protocol"}) for service in SERVICES]

PLANTS = [
    *_NEIGHBOURS,
    *_each(FLOORS, "shared.planted", "import services.ingest.store", "import waymark.migrations"),
    *_each(FLOORS, "services.ingest.core.planted", "import waymark.migrations"),
    *_each(SHIPPED, "waymark.planted", "import tests.make", "from deploy import servers", "import bench"),
    *_each(SHIPPED, "shared.planted", "import pytest"),
    *_PURE_CORES,
    *_each(PURE, "shared.contracts.planted", "import asyncio", "from sqlalchemy import select", "import shared.clock"),
    *_each(
        PURE, "services.ingest.core.planted", "import httpx2", "import aiokafka", "import fastapi", "import sqlite3"
    ),
    *_each(
        PURE,
        "services.ingest.core.planted",
        "from shared.http import problem",
        "from shared.service import dead_letters",
    ),
    *_each(PURE, "services.ingest.core.planted", "from shared.bus.protocol import Bus"),
    *_each(PURE, "services.lifecycle.core.planted", "from shared.bus.protocol import Record"),
    *_each(PURE, "services.ingest.core.planted", "def late() -> None: import sqlalchemy"),
    Plant(PURE, {"services.notify.core.planted": "import shared.planted", "shared.planted": "import asyncio"}),
    *_each(TOLD, "services.notify.core.planted", "from pathlib import Path", "import time", "import random"),
    *_each(TOLD, "shared.contracts.planted", "from secrets import token_hex"),
    *_each(OFFLINE, "services.ingest.handlers", "import httpx2", "import aiosmtplib"),
    *_each(OFFLINE, "services.ingest.store", "import httpx2", "import ssl"),
    Plant(
        OFFLINE, {"services.notify.handlers": "from services.notify import channels", "services.notify.channels": ""}
    ),
    Plant(OFFLINE, {"services.notify.handlers": "import services.notify.effects", "services.notify.effects": ""}),
    Plant(OFFLINE, {"services.lifecycle.store": "import shared.planted", "shared.planted": "import httpx2"}),
    *_each(BUS, "shared.bus.outbox", "import shared.bus.relay", "import shared.bus.embedded"),
    *_each(BUS, "shared.bus.embedded", "import shared.bus.kafka"),
    *_each(BUS, "shared.bus.utils", ""),
    *_each(ACCESS, "shared.access.tables", "import shared.access.keys"),
    *_each(ACCESS, "shared.access.sessions", "import shared.access.keys", "import shared.access.audit"),
    *_each(ACCESS, "shared.access.utils", ""),
    *_each(RUNTIME, "shared.service.processor", "import shared.service.consumer"),
    *_each(RUNTIME, "shared.service.dead_letters", "import shared.service.ownership"),
    *_each(RUNTIME, "shared.service.utils", ""),
    *_STRAYS,
    *_each(INSIDE["ingest"], "services.ingest.core.planted", "import services.ingest.http"),
    *_each(INSIDE["ingest"], "services.ingest.tables", "import services.ingest.store"),
    *_each(INSIDE["ingest"], "services.ingest.handlers", "from services.ingest import http"),
    *_each("Inside ingest's core", "services.ingest.core.segment", "import services.ingest.core.canonical"),
    *_each("Inside ingest's core", "services.ingest.core.canonical", "import services.ingest.core.account_resolution"),
    *_each("Inside ingest's core", "services.ingest.core.utils", ""),
    Plant(
        INSIDE["lifecycle"],
        {"services.lifecycle.core.planted": "import services.lifecycle.store", "services.lifecycle.store": ""},
    ),
    Plant(
        INSIDE["lifecycle"],
        {"services.lifecycle.timers": "import services.lifecycle.effects", "services.lifecycle.effects": ""},
    ),
    *_each(LIFECYCLE_CORE, "services.lifecycle.core.evaluation", "import services.lifecycle.core.compiled_definition"),
    *_each(LIFECYCLE_CORE, "services.lifecycle.core.rules", "from services.lifecycle.core.metrics import table"),
    *_each(LIFECYCLE_CORE, "services.lifecycle.core.utils", ""),
    *_each(INSIDE["notify"], "services.notify.core.planted", "import services.notify.rendering"),
    Plant(
        INSIDE["notify"], {"services.notify.store": "import services.notify.handlers", "services.notify.handlers": ""}
    ),
    *_each("Inside notify's core", "services.notify.core.state", "from services.notify.core import engine"),
    *_each("Inside notify's core", "services.notify.core.budget", "import services.notify.core.channels"),
    *_each("Inside notify's core", "services.notify.core.engine", "from services.notify.core.steps import message"),
    *_each("Inside notify's core", "services.notify.core.policy", "from services.notify.core.steps import kind"),
    *_each(
        "Inside notify's core", "services.notify.core.steps.message", "from services.notify.core import play_schema"
    ),
    *_each("Inside notify's core", "services.notify.core.utils", ""),
    *_each(INSIDE["advocacy"], "services.advocacy.core.planted", "import services.advocacy.loading"),
    *_each(ADVOCACY_CORE, "services.advocacy.core.referral", "import services.advocacy.core.account"),
    *_each(ADVOCACY_CORE, "services.advocacy.core.surveys", "import services.advocacy.core.asks"),
    Plant(ADVOCACY_CORE, {"services.advocacy.core.utils": ""}),
    Plant(
        INSIDE["advocacy"],
        {"services.advocacy.http": "import services.advocacy.wiring", "services.advocacy.wiring": ""},
    ),
    Plant(INSIDE["console"], {"services.console.core": "import services.console.http", "services.console.http": ""}),
    *_each("Inside console's core", "services.console.core.answers", "import services.console.core.portfolio"),
    *_each("Inside console's core", "services.console.core.utils", ""),
]
