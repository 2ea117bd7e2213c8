"""One golden database a release: each is there, migrates without losing a value, and answers as it did."""

import asyncio
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.golden.comparison import different, lost, sqlite_tables
from tests.golden.readout import readout
from tests.golden.release import FILES, FOLDER, RELEASES, config, database, expectation, migrated, opened, unpacked
from tests.golden.scenario import MOMENT, settings
from tests.make import FakeClock


def missing(version: str) -> list[str]:
    """The golden files that this version lacks; a version that is no release (0.2.0.dev1, 0.2.0rc1) needs none."""
    if not all(part.isdecimal() for part in version.split(".")):
        return []
    return [name for name in FILES if not (FOLDER / version / name).exists()]


def test_the_version_that_is_released_has_its_golden_databases() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]["version"]

    assert missing(version) == [], "run `make golden` on the commit that is released, and commit what it makes"
    assert missing("99.0.0") == list(FILES)
    assert missing("99.0.0.dev1") == []


@pytest.mark.parametrize("release", RELEASES)
async def test_the_database_of_every_release_is_opened_and_loses_nothing(release: str, tmp_path: Path) -> None:
    where = settings(tmp_path / "data", config(tmp_path / "config", release))
    database(where).write_bytes(unpacked("waymark.db.xz", release))
    before = await asyncio.to_thread(sqlite_tables, database(where))
    await migrated(where)
    assert lost(before, await asyncio.to_thread(sqlite_tables, database(where))) == []
    async with opened(where, FakeClock(MOMENT - timedelta(days=1))) as on:
        assert list(different(expectation("embedded", release), await readout(on))) == []
