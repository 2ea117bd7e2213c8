"""The ordinary `alembic` command over alembic.ini, and the locks under which migrations run."""

import configparser
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData

from deploy.servers.process import run
from shared.settings import Settings
from tests.conftest import ROOT
from tests.contract.house.databases import execute
from waymark.migrations import (
    ACCESS,
    BUS,
    OWNERS,
    behind,
    config_of,
    drift,
    history_named,
    migrate,
    pending,
    revise,
    upgrade,
)

SECTIONS = [BUS, ACCESS, *OWNERS]
_numbers = count(1)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A database with nothing in it."""
    if request.param == "sqlite":
        return Settings.model_validate({"data": tmp_path})
    url = request.getfixturevalue("postgres").create_database(f"alembic_{next(_numbers)}")
    return Settings.model_validate({"data": tmp_path, "database_url": url})


def alembic(settings: Settings, *arguments: str) -> tuple[int, str]:
    """Run the command in the repository, as anybody would: exit status, and all that it prints."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WAYMARK_")}
    environ = clean | {"WAYMARK_DATABASE_URL": settings.database}
    return run([sys.executable, "-m", "alembic", *arguments], cwd=ROOT, environ=environ)


def test_the_alembic_command_brings_a_history_to_its_head_and_checks_it(settings: Settings) -> None:
    assert alembic(settings, "-n", "lifecycle", "check")[0] != 0
    assert alembic(settings, "-n", "lifecycle", "upgrade", "head") == (0, "")
    status, said = alembic(settings, "-n", "lifecycle", "check")
    assert (status, said.strip()) == (0, "No new upgrade operations detected.")
    assert not behind(settings.database, history_named("lifecycle"))
    assert pending(settings, ["notify"]) == [ACCESS, BUS, "notify"]


def test_the_alembic_command_finds_a_table_altered_by_hand(settings: Settings) -> None:
    migrate(settings, ["lifecycle"])
    execute(settings.database, "lifecycle", "ALTER TABLE lifecycle_account ADD COLUMN planted INTEGER")
    status, said = alembic(settings, "-n", "lifecycle", "check")
    assert status != 0
    assert "planted" in said


def test_the_alembic_command_and_waymark_migrate_lead_to_the_same_tables(settings: Settings) -> None:
    for section in SECTIONS:
        assert alembic(settings, "-n", section, "upgrade", "head") == (0, "")
    assert drift(settings, list(OWNERS)) == pending(settings, list(OWNERS)) == []
    migrate(settings, list(OWNERS))
    for section in SECTIONS:
        status, said = alembic(settings, "-n", section, "current")
        assert (status, "(head)" in said) == (0, True)


def test_the_alembic_command_writes_the_statements_for_a_person_to_run(tmp_path: Path) -> None:
    for url in ("postgresql+asyncpg://nobody@127.0.0.1:1/none", f"sqlite:///{tmp_path}/none.db"):
        settings = Settings.model_validate({"data": tmp_path, "database_url": url})
        status, said = alembic(settings, "-n", "ingest", "upgrade", "head", "--sql")
        assert status == 0, said
        assert "CREATE TABLE ingest_" in said


def test_a_section_says_what_waymark_migrate_says() -> None:
    ini = configparser.ConfigParser(defaults={"here": str(ROOT)})
    ini.read(ROOT / "alembic.ini")
    assert ini.sections() == SECTIONS
    for section in SECTIONS:
        ours = config_of(history_named(section), "")
        for name in ("script_location", "version_locations", "path_separator", "file_template", "revision_environment"):
            assert ini.get(section, name) == ours.get_main_option(name), (section, name)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_revision_is_numbered_and_leads_to_the_tables_of_the_code(section: str, tmp_path: Path) -> None:
    kept = history_named(section)
    shutil.copytree(kept.folder / "versions", tmp_path / "versions", ignore=shutil.ignore_patterns("__pycache__"))
    before = sorted(file.name for file in (tmp_path / "versions").glob("*.py"))
    grown = MetaData()
    for table in kept.metadata.tables.values():
        table.to_metadata(grown)
    min(grown.tables.values(), key=lambda table: table.name).append_column(Column("planted", Integer))
    history = kept._replace(folder=tmp_path, metadata=grown)

    file = revise(history, "Plant a column")

    assert file.name == f"{len(before) + 1:04}_plant_a_column.py"
    assert "planted" in file.read_text("utf8")
    url = f"sqlite:///{tmp_path}/grown.db"
    upgrade(url, history)
    assert not behind(url, history)


def test_processes_that_migrate_at_the_same_time_take_turns(settings: Settings) -> None:
    with ThreadPoolExecutor(4) as several:
        done = list(several.map(lambda _: alembic(settings, "-n", "notify", "upgrade", "head"), range(4)))
    assert done == [(0, "")] * 4


def test_a_migration_that_fails_half_way_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    versions = tmp_path / "half" / "versions"
    versions.mkdir(parents=True)
    (versions / "0001_half.py").write_text(
        "from alembic import op\nimport sqlalchemy as sa\nrevision = '0001'\ndown_revision = None\n"
        "def upgrade():\n    op.create_table('half', sa.Column('id', sa.Integer))\n    raise ValueError('half way')\n",
        "utf8",
    )
    history = history_named("ingest")._replace(folder=versions.parent, metadata=MetaData())
    for _ in range(2):
        with pytest.raises(ValueError, match="half way"):
            upgrade(settings.database, history)
    assert behind(settings.database, history)
