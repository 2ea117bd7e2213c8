"""A backup is taken while the services go on, is whole or refused, and is restored where there is room, on both databases."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from shared.failures import Refused
from shared.settings import Settings
from tests.conftest import Deployment, embedded, scaled
from tests.contract.house.databases import execute
from tests.journey.processes import uses
from tests.journey.services import RunningServices, run_services
from tests.make import NOON
from waymark import compatibility
from waymark.backup import conversion
from waymark.backup.commands import backup, restore
from waymark.backup.content import Digest
from waymark.backup.file import BackupFile, BadBackup
from waymark.migrations import OWNERS, NewerDatabase

ACCOUNTS, BATCH = 7, 50
STREAM = uses(1000, ACCOUNTS)


@pytest.fixture
def elsewhere(deployment: Deployment, request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """An empty place of the same kind."""
    folder = tmp_path / "elsewhere"
    return embedded(folder) if deployment.name == "embedded" else scaled(request, folder, empty=True)


def digests(file: Path) -> dict[str, Digest]:
    with BackupFile(file) as found:
        return conversion.digests(found)


async def post(on: RunningServices, start: int, end: int) -> None:
    for first in range(start, end, BATCH):
        answer = await on.http.post("/v1/batch", json={"batch": STREAM[first : first + BATCH]}, auth=(on.write_key, ""))
        assert answer.status_code == 200, answer.text


async def test_a_backup_under_traffic_is_one_moment_and_is_restored_as_it_was(
    deployment: Deployment, elsewhere: Settings, tmp_path: Path
) -> None:
    async with run_services(deployment.settings) as on:
        await post(on, 0, 300)
        await on.wait_until_idle()
        posting = asyncio.create_task(post(on, 300, len(STREAM)))
        during = await backup(deployment.settings, tmp_path / "during", NOON)
        await posting
        await on.wait_until_idle()
        after = await backup(deployment.settings, tmp_path / "after", NOON)
    with BackupFile(during) as found:
        events = digests(during)["usage.v1"].rows
        [ends] = [
            row for row in found.rows(table(found, "log_end")) if row["topic"] == "usage.v1" and row["partition"] == 0
        ]
        blocks = [
            row for row in found.rows(table(found, "log_block")) if row["topic"] == "usage.v1" and row["partition"] == 0
        ]
    assert 300 <= events <= len(STREAM)
    assert ends["next_offset"] == sum(int(row["record_count"] or 0) for row in blocks), (
        "the log and its end are of one moment"
    )
    assert digests(after)["usage.v1"].rows == len(STREAM)

    await restore(elsewhere, after, NOON, replace=False)

    again = await backup(elsewhere, tmp_path / "again", NOON)
    assert digests(again) == digests(after)
    with pytest.raises(Refused, match=r"holds data.*--replace"):
        await restore(elsewhere, during, NOON, replace=False)
    await restore(elsewhere, during, NOON, replace=True)
    assert digests(await backup(elsewhere, tmp_path / "older", NOON)) == digests(during)


def table(found: BackupFile, name: str):
    return next(one for one in found.tables() if one.name == name and one.schema in {"bus", "ingest"})


async def test_nothing_is_restored_under_a_running_process(deployment: Deployment, tmp_path: Path) -> None:
    async with run_services(deployment.settings):
        file = await backup(deployment.settings, tmp_path / "file", NOON)
        with pytest.raises(Refused, match=r"another Waymark uses|Waymark runs on that database"):
            await restore(deployment.settings, file, NOON, replace=True)


async def test_a_backup_of_a_newer_version_is_refused(
    deployment: Deployment, elsewhere: Settings, tmp_path: Path
) -> None:
    settings = deployment.settings
    await asyncio.to_thread(compatibility.migrate, settings, list(OWNERS))
    await asyncio.to_thread(execute, settings.database, "notify", "UPDATE notify_version SET version_num = '9999'")
    file = await backup(settings, tmp_path / "file", NOON)
    with pytest.raises(NewerDatabase, match="the tables of notify are of revision 9999"):
        await restore(elsewhere, file, NOON, replace=False)


async def test_a_damaged_file_is_replaced_by_a_backup_and_kept(tmp_path: Path) -> None:
    good, damaged = embedded(tmp_path / "good"), embedded(tmp_path / "damaged")
    await asyncio.to_thread(compatibility.migrate, good, list(OWNERS))
    file = await backup(good, tmp_path / "backup", NOON)
    damaged.data.mkdir()
    (damaged.data / "waymark.db").write_bytes(b"nothing of the kind" * 100)

    with pytest.raises(Refused, match="say --replace"):
        await restore(damaged, file, NOON, replace=False)
    await restore(damaged, file, NOON, replace=True)

    assert digests(await backup(damaged, tmp_path / "again", NOON)) == digests(file)
    [kept] = damaged.data.glob("waymark.db.replaced-*")
    assert kept.read_bytes().startswith(b"nothing of the kind")


async def test_a_copied_main_file_is_refused_because_it_may_be_older_than_it_looks(tmp_path: Path) -> None:
    where = embedded(tmp_path / "data")
    async with run_services(where) as on:
        await post(on, 0, 300)
        await on.wait_until_idle()
        torn = tmp_path / "torn.db"
        torn.write_bytes((where.data / "waymark.db").read_bytes())
        file = await backup(where, tmp_path, NOON)
    with closing(sqlite3.connect(torn)) as copied:
        whole_name = "SELECT name FROM sqlite_master WHERE name = 'log_block'"
        copied_has_log = copied.execute(whole_name).fetchone() is not None
        found = copied.execute("SELECT count(*) FROM log_block").fetchone()[0] if copied_has_log else 0
    with closing(sqlite3.connect(file)) as whole:
        assert found < whole.execute("SELECT count(*) FROM log_block").fetchone()[0], (
            "what was committed stands in the -wal"
        )

    with pytest.raises(BadBackup, match=r"is no backup of `waymark backup`.*lacks what stands in its -wal"):
        await restore(embedded(tmp_path / "new"), torn, NOON, replace=False)


async def test_a_cut_or_altered_backup_is_refused(tmp_path: Path) -> None:
    where = embedded(tmp_path / "data")
    async with run_services(where) as on:
        await post(on, 0, 100)
        await on.wait_until_idle()
    file = await backup(where, tmp_path, NOON)
    assert file.name == f"waymark-{NOON:%Y%m%d-%H%M%S}.backup"
    assert file.stat().st_mode & 0o077 == 0
    cut, altered = tmp_path / "cut", tmp_path / "altered"
    cut.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    altered.write_bytes(file.read_bytes())
    with closing(sqlite3.connect(altered)) as database:
        database.execute("DELETE FROM lifecycle_decision WHERE seq = 1")
        database.commit()
    for bad in (cut, altered, tmp_path / "missing"):
        with pytest.raises(BadBackup):
            await restore(embedded(tmp_path / "new"), bad, NOON, replace=False)
    assert not (tmp_path / "new" / "waymark.db").exists()
    with pytest.raises(Refused, match="exists: name another file"):
        await backup(where, file, NOON + timedelta(days=1))
