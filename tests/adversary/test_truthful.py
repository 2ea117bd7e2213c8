"""What a 200 and a readyz say is true: data is not removed under who answers for it, and who cannot take an event says so."""

import asyncio
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.servers.ports import free_port
from tests.adversary.product import running, track
from tests.conftest import ROOT, embedded, scaled
from tests.make import eventually

SERVICES = ("ingest", "lifecycle", "notify", "advocacy")


async def demo(data: Path, *arguments: str, **variables: str) -> asyncio.subprocess.Process:
    """`waymark demo`, with its output in a pipe."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WAYMARK_")}
    own = {f"WAYMARK_{name}": value for name, value in ({"DATA": str(data)} | variables).items()}
    command = [sys.executable, "-m", "waymark", "demo", *arguments]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=clean | own,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=asyncio.subprocess.STDOUT,
    )


async def test_a_second_demo_removes_nothing_under_the_first_and_neither_touches_a_real_database(
    tmp_path: Path,
) -> None:
    real = tmp_path / "real.db"
    with closing(sqlite3.connect(real)) as database:
        database.execute("CREATE TABLE worth (money)")
    before, port = real.read_bytes(), free_port()
    first = await demo(tmp_path, DATABASE_URL=f"sqlite:///{real}", PORT=str(port))
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:

            async def replaying() -> bool:
                assert first.returncode is None
                try:
                    return (await http.get("/lifecycle/readyz")).status_code == 200
                except httpx2.TransportError:
                    return False

            await eventually(replaying, 180)
            database_of_first = (tmp_path / "demo" / "waymark.db").stat().st_ino
            second = await demo(tmp_path, "--once", "--reset", PORT=str(free_port()))
            told, _ = await second.communicate()

            assert second.returncode != 0
            assert b"another Waymark uses" in told
            assert (tmp_path / "demo" / "waymark.db").stat().st_ino == database_of_first
            assert (await http.get("/lifecycle/readyz")).status_code == 200
            assert real.read_bytes() == before
    finally:
        first.kill()
        await first.communicate()


async def test_a_demo_that_somebody_may_have_worked_in_is_not_removed_without_asking(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "demo.json").write_text('{"seed":1,"day":"2026-01-01","finished":true}', "utf8")
    (folder / "waymark.db").write_text("somebody's work", "utf8")
    asked = await demo(tmp_path, "--once", "--seed", "2", PORT=str(free_port()))
    try:
        async with asyncio.timeout(120):
            told, _ = await asked.communicate()
    finally:
        if asked.returncode is None:
            asked.kill()
            await asked.communicate()
    assert asked.returncode != 0
    assert b"perhaps with work in it" in told
    assert (folder / "waymark.db").read_text("utf8") == "somebody's work"


@pytest.mark.parametrize("mode", ["IMMEDIATE", "EXCLUSIVE"])
async def test_a_database_that_somebody_else_has_locked_is_not_ready(tmp_path: Path, mode: str) -> None:
    async with running(embedded(tmp_path)) as product:
        with closing(sqlite3.connect(tmp_path / "waymark.db", isolation_level=None)) as intruder:
            intruder.execute(f"BEGIN {mode}")
            post, *answers = await asyncio.gather(
                product.post([track("acme", "ann", "Feature Used")]),
                *(product.call("GET", f"/{name}/readyz") for name in SERVICES),
            )
            assert [answer.status_code for answer in answers] == [503] * len(SERVICES)
            assert "locked" in answers[0].json()["checks"]["database"]
            assert post.status_code == 503
            intruder.execute("ROLLBACK")

        async def all_ready() -> bool:
            return all([(await product.call("GET", f"/{name}/readyz")).status_code == 200 for name in SERVICES])

        await eventually(all_ready)
        await product.accepted([track("acme", "ann", "Feature Used")])
        await product.appears("acme")


@pytest.mark.servers
async def test_an_archive_that_somebody_lets_expire_is_not_ready_and_added_partitions_have_a_lag(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = scaled(request, tmp_path)
    topic, servers = f"{settings.topic_prefix}usage.v1", str(settings.bus_url).removeprefix("kafka://")
    async with running(settings) as product:
        admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        await admin.start()

        async def is_told() -> bool:
            answer = await product.call("GET", "/lifecycle/readyz")
            return answer.status_code == 503 and topic[-8:] in answer.json()["checks"]["log-retention"]

        async def has_a_lag() -> bool:
            metrics = (await product.call("GET", "/lifecycle/metrics")).text
            return f'part="{settings.partitions}",topic="usage.v1"' in metrics

        async def let_expire(milliseconds: int) -> None:
            changes = {"retention.ms": str(milliseconds)}
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=changes)])

        try:
            await let_expire(604_800_000)
            await admin.create_partitions({topic: NewPartitions(settings.partitions + 1)})
            await eventually(has_a_lag, 120)  # while nobody asks readyz
            await eventually(is_told)
        finally:
            await admin.close()
