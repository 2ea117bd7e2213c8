"""Migrations lead to the tables of the code: for every history, on both databases, and with planted differences."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData

from shared.settings import Settings
from tests.contract.house.databases import execute
from waymark.migrations import (
    OWNERS,
    History,
    access_history,
    behind,
    differences,
    drift,
    histories,
    migrate,
    pending,
    script_of,
    upgrade,
)

SERVICES = Path(__file__).parents[2] / "services"
OWNED = [service for service in OWNERS if (SERVICES / service / "tables.py").exists()]
"""A service joins with its first table."""
_numbers = count(1)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A database with nothing in it."""
    if request.param == "sqlite":
        return Settings.model_validate({"data": tmp_path})
    url = request.getfixturevalue("postgres").create_database(f"migrations_{next(_numbers)}")
    return Settings.model_validate({"data": tmp_path, "database_url": url})


@pytest.fixture(params=OWNED)
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def own(service: str) -> History:
    return histories(service)[-1]


def test_tables_and_migrations_come_together_and_are_known() -> None:
    with_migrations = {path.parent.name for path in SERVICES.glob("*/migrations") if any(path.rglob("*.py"))}

    assert with_migrations == set(OWNED), "one has tables.py but no migrations/, or the reverse, or no place in OWNERS"
    assert {path.parent.name for path in SERVICES.glob("*/tables.py")} <= set(OWNERS)


def test_a_history_is_one_line_of_revisions(service: str) -> None:
    for history in histories(service):
        assert len(script_of(history).get_heads()) == 1
        assert [revision.is_branch_point for revision in script_of(history).walk_revisions()].count(True) == 0


def test_from_nothing_the_tables_become_those_of_the_code(settings: Settings, service: str) -> None:
    migrate(settings, [service])

    assert drift(settings, [service]) == []


def test_migrating_twice_is_harmless(settings: Settings, service: str) -> None:
    migrate(settings, [service])
    migrate(settings, [service])

    assert drift(settings, [service]) == pending(settings, [service]) == []


def test_all_services_live_in_one_database(settings: Settings) -> None:
    migrate(settings, OWNED)

    assert drift(settings, OWNED) == pending(settings, OWNED) == []


def test_what_is_missing_is_told_until_it_is_there(settings: Settings, service: str) -> None:
    assert pending(settings, [service]) == ["access", "bus", service]
    upgrade(settings.database, access_history())
    assert pending(settings, [service]) == ["bus", service]
    upgrade(settings.database, histories(service)[0])
    assert pending(settings, [service]) == [service]
    upgrade(settings.database, own(service))
    assert pending(settings, [service]) == []


def test_before_the_first_revision_every_table_is_a_difference(settings: Settings, service: str) -> None:
    history = own(service)

    found = differences(settings.database, history)

    assert behind(settings.database, history)
    assert len([change for change in found if "add_table" in change]) == len(history.metadata.tables)


def test_a_column_that_only_the_code_has_is_found(settings: Settings, service: str) -> None:
    migrate(settings, [service])
    for history in histories(service):
        for name in history.metadata.tables:
            [found] = differences(settings.database, history._replace(metadata=_with_column(history.metadata, name)))

            assert "add_column" in found
            assert "planted" in found


def _with_column(metadata: MetaData, name: str) -> MetaData:
    """A copy in which that table has one column more."""
    copy = MetaData()
    for table in metadata.tables.values():
        table.to_metadata(copy)
    copy.tables[name].append_column(Column("planted", Integer))
    return copy


def _added(table: str) -> str:
    return f'ALTER TABLE "{table}" ADD COLUMN planted INTEGER'


def _dropped(table: str) -> str:
    return f'DROP TABLE "{table}"'


@pytest.mark.parametrize(("alter", "change"), [(_added, "remove_column"), (_dropped, "add_table")])
def test_a_table_altered_by_hand_is_found(
    settings: Settings, service: str, alter: Callable[[str], str], change: str
) -> None:
    migrate(settings, [service])
    table = min(own(service).metadata.tables)
    execute(settings.database, service, alter(table))

    found = drift(settings, [service])

    assert any(change in said and table in said for said in found)
    assert all(said.startswith(f"{service}: ") for said in found)
