"""Fixtures for all tests: real servers where they can be had; and where not, a summary that says so."""

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from deploy.servers import Kafka, Postgres, missing_for_kafka, missing_for_postgres, start_kafka, start_postgres
from shared.settings import Settings

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("WAYMARK_SHARED", ROOT.parent / "shared"))
OULAD = SHARED / "data/oulad"
REQUIRED = os.environ.get("REQUIRE_SERVERS") == "1"
_numbers = count(1)
# how long an example takes says how busy the machine is, not whether the code is right
settings.register_profile("noisy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("noisy")


@functools.cache
def _missing() -> dict[str, str]:
    """Each group of tests that cannot run here: why, and what mends it."""
    servers = " and ".join(filter(None, (missing_for_kafka(), missing_for_postgres())))
    data = "" if OULAD.exists() else f"no OULAD data at {OULAD}: set WAYMARK_SHARED to the folder that holds data/oulad"
    return {group: why for group, why in (("servers", servers), ("real_data", data)) if why}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for group, why in _missing().items():
        for item in items:
            if item.get_closest_marker(group):
                item.add_marker(pytest.mark.skip(reason=f"{group}: {why}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for group, why in _missing().items():
        terminalreporter.section(f"the group '{group}' did not run", sep="!")
        terminalreporter.line(why)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if REQUIRED and exitstatus == 0 and _missing():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Where servers of this session live: removed with them."""
    folder = Path(tempfile.mkdtemp(prefix="waymark-tests-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka(server_folder: Path) -> Iterator[Kafka]:
    kafka = start_kafka(server_folder)
    yield kafka
    kafka.stop()


@pytest.fixture(scope="session")
def postgres(server_folder: Path) -> Iterator[Postgres]:
    postgres = start_postgres(server_folder)
    yield postgres
    postgres.stop()


@pytest.fixture(scope="session")
def oulad() -> Path:
    """The folder of the real data."""
    return OULAD


class Deployment(NamedTuple):
    """One of the two ways to run: its name, and settings with a database and topics of their own."""

    name: str
    settings: Settings


BOTH = ("embedded", pytest.param("scaled", marks=pytest.mark.servers))
"""Parameters of a fixture that stands for both."""


@pytest.fixture(params=BOTH)
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    if request.param == "embedded":
        return Deployment("embedded", embedded(tmp_path))
    return Deployment("scaled", scaled(request, tmp_path))


def embedded(folder: Path) -> Settings:
    """One process on a SQLite file of its own."""
    return Settings(data=folder, config=ROOT / "config")


def scaled(request: pytest.FixtureRequest, folder: Path) -> Settings:
    """A database and topics of their own on the session's servers."""
    kafka, postgres = request.getfixturevalue("kafka"), request.getfixturevalue("postgres")
    name = f"t{os.getpid()}_{next(_numbers)}"
    return Settings(
        data=folder,
        config=ROOT / "config",
        database_url=postgres.create_database(name),
        bus_url=kafka.url,
        topic_prefix=f"{name}.",
    )
