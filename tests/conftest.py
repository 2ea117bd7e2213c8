"""Fixtures for all tests: real servers where they can be had; and where not, a summary that says so."""

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from deploy.servers import Kafka, Postgres, missing_for_kafka, missing_for_postgres, start_kafka, start_postgres
from shared.settings import Settings
from waymark import migrations

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("WAYMARK_SHARED", ROOT.parent / "shared"))
OULAD = SHARED / "data/oulad"
REQUIRED = os.environ.get("REQUIRE_SERVERS") == "1"
_LONGEST = (
    "tests/simulation/test_seeds.py",
    "tests/adversary/test_truthful.py",
    "tests/journey/test_oulad.py",
    "tests/journey/test_graceful_stop.py",
    "tests/golden/test_golden.py",
    "tests/golden/test_moving.py",
    "tests/docs/test_howto.py",
    "tests/journey/test_takeover.py",
    "tests/journey/test_clear_errors.py",
    "tests/contract/test_servers.py",
)
"""The longest files, begun first: a worker takes whole files, and with one of these at the end the others would wait for it."""
_numbers = count(1)
# how long an example takes says how busy the machine is, not whether the code is right
settings.register_profile("noisy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# and what lets a change land must not hang on chance: other examples are for everybody's own runs, and for `make verify`
settings.register_profile("same", settings.get_profile("noisy"), derandomize=True)
settings.load_profile(os.environ.get("EXAMPLES", "noisy"))


@functools.cache
def _missing() -> dict[str, str]:
    """Each group of tests that cannot run here: why, and what mends it."""
    servers = " and ".join(filter(None, (missing_for_kafka(), missing_for_postgres())))
    data = "" if OULAD.exists() else f"no OULAD data at {OULAD}: set WAYMARK_SHARED to the folder that holds data/oulad"
    return {group: why for group, why in (("servers", servers), ("real_data", data)) if why}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {ROOT / name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
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
    kafka = start_kafka(server_folder, brief=True)
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
    return Settings(data=folder, config=ROOT / "config", live_despite="all")


@pytest.fixture(scope="session")
def migrated_database(postgres: Postgres) -> str:
    """The name of a database with every table and nothing in them, to be copied: that costs less than to migrate again."""
    settings = Settings(database_url=postgres.create_database(name := "migrated"))
    with ThreadPoolExecutor(1) as beside:  # a test that asks for it may have a loop running
        beside.submit(migrations.migrate, settings, list(migrations.OWNERS)).result()
    return name


def scaled(request: pytest.FixtureRequest, folder: Path, *, empty: bool = False) -> Settings:
    """A database and topics of their own on the session's servers. The tables are there, unless it is to be `empty`."""
    kafka, postgres = request.getfixturevalue("kafka"), request.getfixturevalue("postgres")
    template = "template1" if empty else request.getfixturevalue("migrated_database")
    name = f"t{os.getpid()}_{next(_numbers)}"
    return Settings(
        data=folder,
        config=ROOT / "config",
        live_despite="all",
        database_url=postgres.create_database(name, template),
        bus_url=kafka.url,
        topic_prefix=f"{name}.",
    )
