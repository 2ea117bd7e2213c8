"""The real Kafka and the real PostgreSQL start, survive what we do to them, and stop when they should."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import OffsetOutOfRangeError

from deploy.servers import (
    Kafka,
    Postgres,
    missing_for_kafka,
    missing_for_postgres,
    start_kafka,
    start_postgres,
)
from deploy.servers.guard import ROOT
from deploy.servers.process import command_line, launch, run, wait_gone, wait_until

TOPIC = "kept"
PARTITIONS = 4


@pytest.fixture(scope="module")
def with_kafka() -> None:
    if reason := missing_for_kafka():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def with_postgres() -> None:
    if reason := missing_for_postgres():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def kafka(with_kafka: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:  # noqa: ARG001
    server = start_kafka(tmp_path_factory.mktemp("hurt"), brief=True)
    yield server
    server.stop()


@pytest.fixture
def postgres(with_postgres: None, tmp_path: Path) -> Iterator[Postgres]:  # noqa: ARG001
    server = start_postgres(tmp_path)
    yield server
    server.end()


def command(verb: str, directory: Path) -> tuple[int, str]:
    return run([sys.executable, "-m", "deploy.servers", verb, "--dir", str(directory)], cwd=ROOT)


async def create_topic(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    finally:
        await admin.close()


async def produce(bootstrap: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        await producer.send_and_wait(TOPIC, value, partition=PARTITIONS - 1)


async def consume(bootstrap: str, offset: int) -> bytes:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="none") as consumer:
        place = TopicPartition(TOPIC, PARTITIONS - 1)
        consumer.assign([place])
        consumer.seek(place, offset)
        async with asyncio.timeout(90):
            record = await consumer.getone()
        return bytes(record.value)


async def sql(server: Postgres, database: str, statement: str) -> object:
    connection = await asyncpg.connect(server.dsn(database))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.mark.servers
@pytest.mark.usefixtures("with_kafka", "with_postgres")
def test_up_starts_both_once_and_down_leaves_no_process(tmp_path: Path) -> None:
    servers: list[Kafka | Postgres] = [Kafka(tmp_path), Postgres(tmp_path)]
    try:
        first, said = command("up", tmp_path)
        pids = [server.pid for server in servers]
        second, again = command("up", tmp_path)
        shell = run(["sh", "-c", f". {tmp_path}/env; echo $WAYMARK_BUS_URL $WAYMARK_DATABASE_URL"], cwd=ROOT)[1]
        status = command("status", tmp_path)[0]
    finally:
        down, _said = command("down", tmp_path)

    assert (first, second, status, down) == (0, 0, 0, 0), said
    assert None not in pids
    assert again.count("already running") == len(pids)
    assert shell.startswith("kafka://127.0.0.1:")
    assert "postgresql+asyncpg://" in shell
    assert command("status", tmp_path)[0] == 3
    assert not any(command_line(pid) for pid in pids if pid)
    assert not (tmp_path / "env").exists()
    Postgres(tmp_path).end()


@pytest.mark.servers
async def test_kafka_keeps_its_records_over_a_kill_and_a_restart(kafka: Kafka) -> None:
    url, pid = kafka.url, kafka.pid
    await create_topic(kafka.bootstrap)
    await produce(kafka.bootstrap, b"before")

    kafka.kill()
    assert pid
    assert not command_line(pid)
    kafka.start()
    await produce(kafka.bootstrap, b"after")
    kafka.restart()

    assert kafka.url == url
    assert await consume(kafka.bootstrap, 0) == b"before"
    assert await consume(kafka.bootstrap, 1) == b"after"
    with pytest.raises(OffsetOutOfRangeError):
        await consume(kafka.bootstrap, 99)


@pytest.mark.servers
def test_a_paused_kafka_is_silent_and_speaks_again_when_resumed(kafka: Kafka) -> None:
    kafka.pause()
    silent = not kafka.answers()
    kafka.resume()

    assert silent
    assert wait_until(kafka.answers, 90)


@pytest.mark.servers
async def test_postgres_keeps_its_rows_over_a_crash_a_kill_and_a_restart(postgres: Postgres) -> None:
    url = postgres.create_database("rows")
    await sql(postgres, "rows", "CREATE TABLE kept AS SELECT 7 AS seven")

    hurts: list[Callable[[], None]] = [lambda: postgres.stop("immediate"), postgres.kill, postgres.stop]
    for hurt in hurts:
        hurt()
        assert postgres.pid is None
        postgres.start()
    postgres.restart()

    assert postgres.create_database("rows") == postgres.url("rows") == url
    assert await sql(postgres, "rows", "SELECT seven FROM kept") == 7
    assert await sql(postgres, "rows", "SHOW fsync") == "on"


@pytest.mark.servers
@pytest.mark.usefixtures("with_kafka", "with_postgres")
@pytest.mark.parametrize(("start", "server"), [("start_kafka", Kafka), ("start_postgres", Postgres)])
def test_a_server_goes_when_the_session_that_started_it_is_killed(
    start: str, server: Callable[[Path], Kafka | Postgres], tmp_path: Path
) -> None:
    line = f"import pathlib, signal, deploy.servers as s; s.{start}(pathlib.Path({str(tmp_path)!r})); signal.pause()"
    session = launch([sys.executable, "-c", line], pid_file=tmp_path / "pid", log=tmp_path / "log", cwd=ROOT)
    assert wait_until(lambda: server(tmp_path).pid is not None and server(tmp_path).answers(), 90)
    pid, home = server(tmp_path).pid, server(tmp_path).home

    os.kill(session, signal.SIGKILL)

    assert pid
    assert wait_gone([pid], 90)
    assert wait_gone([session], 90)
    assert wait_until(lambda: home.is_relative_to(tmp_path) or not home.exists(), 90)
