"""An upgrade keeps the data: an old database opens under traffic, a newer one is refused, backups and moves carry everything."""

import asyncio
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import msgspec
import pytest

from deploy.servers.ports import free_port
from shared.bus.outbox import decode_block
from shared.clock import SystemClock
from shared.keys import credentials
from shared.settings import Settings
from tests.adversary.product import Product, running, track
from tests.conftest import ROOT, Deployment, scaled
from tests.contract.house.databases import execute
from tests.golden.comparison import different
from tests.golden.release import database, expectation
from tests.journey.processes import Sdk, started
from tests.make import eventually

ACCOUNTS, BATCH = 5, 20
_SECONDS = 180.0
"""For a command on a busy machine."""
READ_ONLY = ("/lifecycle/v1/accounts", "/advocacy/v1/referrals", "/advocacy/v1/notes")
NEWER = bytes((0xC1, 99)) + msgspec.msgpack.encode({"anything": "new"})


class Said(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    text: str


async def waymark(settings: Settings, *command: str) -> Said:
    """Run a command as an operator does; one that should refuse to start, and goes on, is ended."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WAYMARK_")}
    own = {"DATA": settings.data, "DATABASE_URL": settings.database_url, "BUS_URL": settings.bus_url}
    own |= {"TOPIC_PREFIX": settings.topic_prefix, "CONFIG": ROOT / "config", "PORT": free_port()}
    environment = clean | {f"WAYMARK_{name}": str(value) for name, value in own.items() if value}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "waymark",
        *command,
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Said(process.returncode or 0, told.decode())


def stream(events: int, begin: int = 0) -> list[dict[str, Any]]:
    """Uses of a few new accounts, minutes ago, each with an id of its own."""
    now = SystemClock().now()
    return [
        track(
            f"new{n % ACCOUNTS}",
            f"user{n % ACCOUNTS}",
            "Feature Used",
            id=f"e{begin + n}",
            at=(now - timedelta(minutes=5) + timedelta(seconds=n % 200)).isoformat(),
            feature="reports",
        )
        for n in range(events)
    ]


async def counted(http: httpx2.AsyncClient) -> int:
    """How many uses lifecycle has counted for the new accounts."""
    found = 0
    for number in range(ACCOUNTS):
        answer = await http.get(f"/lifecycle/v1/accounts/new{number}")
        found += int(answer.json()["metrics"]["core_events_28d"]) if answer.status_code == 200 else 0
    return found


def client(url: str, settings: Settings) -> httpx2.AsyncClient:
    own = credentials(settings.data)
    return httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {own.admin}"}, timeout=60)


def taken(file: Path) -> Counter[str]:
    """How often each event of the stream stands in the archive of a stopped SQLite deployment."""
    with closing(sqlite3.connect(file)) as read:
        blocks = read.execute("SELECT block FROM log_block WHERE topic = 'usage.v1'").fetchall()
    events = [msgspec.json.decode(record.value) for row in blocks for record in decode_block(row[0])]
    return Counter(event["account"] for event in events if event["account"].startswith("new"))


async def reaches(count: Callable[[], Awaitable[int]], wanted: int) -> None:
    async def so_many() -> bool:
        return await count() >= wanted

    await eventually(so_many, 240)


async def test_the_database_of_0_1_0_is_opened_under_traffic_that_loses_and_repeats_nothing(golden: Settings) -> None:
    """Clients post before, during and after: the new version starts on the old file, is replaced once more, and goes on."""
    settings = golden.model_copy(update={"port": free_port()})
    url, own, events = f"http://127.0.0.1:{settings.port}", credentials(settings.data), stream(1200)
    sdk = Sdk(url, own.write)
    posting = asyncio.create_task(sdk.post(events, BATCH))
    try:
        async with started(settings, "up") as first:
            async with client(url, settings) as http:
                old = expectation("embedded")
                found = {path: (await http.get(path, params={"limit": 500})).json()["items"] for path in READ_ONLY}
                for path in READ_ONLY:
                    assert {one["id"] for one in found[path]} >= {one["id"] for one in old[path]}, path
                history = next(path for path in old if path.endswith("/history"))
                before, now = old[history], (await http.get(history, params={"limit": 500})).json()["items"]
                assert list(different(before, now[-len(before) :])) == []
                whole = [(await http.get(f"{READ_ONLY[0]}/{one['id']}")).status_code for one in old[READ_ONLY[0]]]
                assert whole == [200] * len(whole)
            await sdk.reaches(300)
            assert (await first.stopped(60))[0] == 0
        async with started(settings, "up") as second:
            await posting
            async with client(url, settings) as http:
                await reaches(lambda: counted(http), len(events))
                assert await counted(http) == len(events)
                parked = (await http.get("/lifecycle/v1/parked")).json()["items"]
            assert (await second.stopped(60))[0] == 0
    finally:
        posting.cancel()
    assert parked == []
    assert sum(taken(database(settings)).values()) == len(events)
    assert sdk.refused, "nobody was refused: the clients did not meet the upgrade"


@pytest.mark.servers
async def test_a_process_beside_a_newer_schema_parks_nothing_says_so_and_hands_over(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A rolling upgrade, where a newer version is only simulated: a column gets another name and the revision another number.

    What runs is this version: as the old replica while the schema is newer, and as the new one when it is as it knows it.
    """
    settings = scaled(request, tmp_path)
    assert (await waymark(settings, "migrate")).code == 0
    old, new = (settings.model_copy(update={"port": free_port()}) for _ in range(2))
    url, events = f"http://127.0.0.1:{old.port}", stream(1500)
    sdk = Sdk(url, credentials(settings.data).write)
    to, back = ("state", "stored_state", "0099"), ("stored_state", "state", revision())

    async def rename(before: str, after: str, number: str) -> None:
        column = f"ALTER TABLE lifecycle_account RENAME COLUMN {before} TO {after}"
        for statement in (column, f"UPDATE lifecycle_version SET version_num = '{number}'"):
            await asyncio.to_thread(execute, settings.database, "lifecycle", statement)

    async with started(old, "up") as first, client(url, settings) as http:
        posting = asyncio.create_task(sdk.post(events, BATCH))
        try:
            await sdk.reaches(300)
            await rename(*to)

            async def said() -> bool:
                answer = await http.get("/lifecycle/readyz")
                return answer.status_code == 503 and "revision 0099, this version knows up to" in answer.text

            await eventually(said)
            await posting
            refused = await waymark(new, "run", "lifecycle")
            await rename(*back)
            async with started(new, "run", "lifecycle"):
                assert (await first.stopped(60))[0] == 0
                async with client(f"http://127.0.0.1:{new.port}", settings) as there:
                    async with started(old, "run", "ingest"):
                        await reaches(lambda: counted(there), len(events))
                    assert await counted(there) == len(events)
                    assert (await there.get("/lifecycle/v1/parked")).json()["items"] == []
        finally:
            posting.cancel()
    assert refused.code == 1
    assert "the tables of lifecycle are of revision 0099" in refused.text


def revision() -> str:
    versions = ROOT / "services" / "lifecycle" / "migrations" / "versions"
    return max(path.name[:4] for path in versions.glob("0*.py"))


async def test_a_newer_layout_is_refused_at_the_start_in_clear_words(golden: Settings) -> None:
    assert (await waymark(golden, "migrate")).code == 0
    with closing(sqlite3.connect(database(golden))) as write:
        write.execute("UPDATE notify_account SET state = ? WHERE id = 'ashvale-bakeries'", [NEWER])
        write.commit()

    said = await waymark(golden, "up")

    assert said.code == 1
    assert "the database is newer than this version of Waymark: notify_account.state has layout 99" in said.text
    assert "run the version of Waymark that wrote it, or a newer one" in said.text
    assert "Traceback" not in said.text


async def test_a_layout_that_a_newer_version_wrote_meanwhile_is_told_by_readyz(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    async with running(settings) as product:
        await product.accepted([track("acme", "ann", "Feature Used")])
        await product.appears("acme")
        await product.settle()
        with closing(sqlite3.connect(database(settings), timeout=60)) as write:
            write.execute("UPDATE notify_account SET state = ?", [NEWER])
            write.commit()

        async def said() -> bool:
            answer = await product.call("GET", "/notify/readyz")
            return answer.status_code == 503 and "has layout 99" in answer.json()["checks"]["layouts"]

        await eventually(said)
        assert (await product.call("GET", "/lifecycle/readyz")).status_code == 200


async def test_a_backup_under_traffic_is_restored_with_every_event_that_had_been_counted(
    deployment: Deployment, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings, file = deployment.settings, tmp_path / "today.backup"
    async with running(settings) as product:
        await product.accepted(stream(200))
        await reaches(lambda: counted_by(product), 200)
        more = asyncio.create_task(product.accepted(stream(100, 200)))
        saved = await waymark(settings, "backup", str(file))
        await more
        during = await waymark(settings, "restore", "--replace", str(file))
    assert saved.code == 0, saved.text
    assert during.code == 1
    assert "another Waymark uses" in during.text or "Waymark runs on that database" in during.text
    assert file.stat().st_mode & 0o077 == 0

    folder = tmp_path / "restored"
    place = Settings(data=folder) if deployment.name == "embedded" else scaled(request, folder, empty=True)
    folder.mkdir()
    (folder / "credentials.json").write_bytes((settings.data / "credentials.json").read_bytes())
    restored = await waymark(place, "restore", str(file))
    again = await waymark(place, "restore", str(file))

    assert restored.code == 0, restored.text
    assert again.code == 1
    assert "holds data" in again.text
    if deployment.name == "embedded":  # scaled out, its Kafka is another one: docs/operations.md, Going back in time
        async with running(place) as product:
            assert 200 <= await counted_by(product) <= 300


async def counted_by(product: Product) -> int:
    found = [await product.account(f"new{number}") for number in range(ACCOUNTS)]
    return sum(int(one["metrics"]["core_events_28d"]) for one in found if one)


async def test_a_copied_main_file_is_refused(golden: Settings, tmp_path: Path) -> None:
    said = await waymark(Settings(data=tmp_path / "new"), "restore", str(database(golden)))

    assert said.code == 1
    assert "is no backup of `waymark backup`" in said.text
    assert not (tmp_path / "new" / "waymark.db").exists()


@pytest.mark.servers
async def test_one_process_moves_to_postgresql_and_kafka_and_goes_on_and_back(
    golden: Settings, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    place = scaled(request, tmp_path / "scaled", empty=True)
    (place.data).mkdir(exist_ok=True)
    (place.data / "credentials.json").write_bytes((golden.data / "credentials.json").read_bytes())
    moved = await waymark(place, "migrate", "--from", golden.database, "--to", place.database)
    assert moved.code == 0, moved.text
    async with running(place) as product:
        accounts = {one["id"] for one in expectation("embedded")["/lifecycle/v1/accounts"]}
        assert {one["id"] for one in (await product.get("/lifecycle/v1/accounts", limit=500))["items"]} >= accounts
        await product.accepted(stream(100))
        await reaches(lambda: counted_by(product), 100)
        await product.settle()
    home = Settings(data=tmp_path / "home", database_url=f"sqlite:///{tmp_path / 'home' / 'waymark.db'}")
    back = await waymark(place, "migrate", "--from", place.database, "--to", home.database)
    assert back.code == 0, back.text
    async with running(home) as product:
        assert await counted_by(product) == 100
        await product.accepted(stream(100, 100))
        await reaches(lambda: counted_by(product), 200)
        assert await counted_by(product) == 200
