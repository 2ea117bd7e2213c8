"""Graceful stop under load: it ends in time, and every accepted event is there once when it is back."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from deploy.servers import Kafka, Postgres
from deploy.servers.ports import free_port
from deploy.servers.process import children_of, freeze, send
from shared.keys import credentials
from shared.settings import Settings
from tests.conftest import ROOT, Deployment, embedded, scaled
from tests.journey.processes import Running, Sdk, started, uses
from tests.make import PLAIN, eventually
from tests.service.notify.doors import Mailbox, mail_server
from waymark import migrations
from waymark.assembly import WIRES

ACCOUNTS, EVENTS, BATCH = 20, 4000, 20
BOUND = 60.0
"""Seconds, generous: the promise is ten on a machine that has time for us, and without it a stop may take for ever."""


async def counts(url: str, key: str) -> dict[str, float]:
    """How many uses lifecycle has counted for each account."""
    found = {}
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30, verify=PLAIN) as http:
        for number in range(ACCOUNTS):
            answer = await http.get(f"/lifecycle/v1/accounts/acct{number}")
            if answer.status_code == 200:
                found[f"acct{number}"] = answer.json()["metrics"]["core_events_28d"]
    return found


async def counted(url: str, key: str) -> None:
    """Every event, once."""

    async def all_there() -> bool:
        return sum((await counts(url, key)).values()) >= EVENTS

    await eventually(all_there, 240)
    assert await counts(url, key) == {f"acct{n}": EVENTS / ACCOUNTS for n in range(ACCOUNTS)}


@asynccontextmanager
async def everything(settings: Settings, lifecycle: int) -> AsyncIterator[tuple[list[Running], str]]:
    """The processes of this deployment, and where lifecycle answers."""
    if settings.embedded:
        async with started(settings, "up") as one:
            yield [one], one.url
    else:
        of_lifecycle = settings.model_copy(update={"port": lifecycle})
        async with started(settings, "run", "ingest") as one, started(of_lifecycle, "run", "lifecycle") as other:
            yield [one, other], other.url


@asynccontextmanager
async def dawdling(url: str) -> AsyncIterator[asyncio.Task[bytes]]:
    """A client in the middle of its body, which never comes to an end; and the first line of what it is told."""
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def dawdle() -> None:
        while not told.done():
            writer.write(b" ")
            await asyncio.sleep(0.2)

    writer.write(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    told = asyncio.create_task(reader.readline())
    task = asyncio.create_task(dawdle())
    try:
        yield told
    finally:
        task.cancel()
        told.cancel()
        writer.transport.abort()


async def test_stopped_under_load_it_ends_in_time_and_counts_every_event_once(deployment: Deployment) -> None:
    settings, lifecycle = deployment.settings.model_copy(update={"port": free_port()}), free_port()
    await asyncio.to_thread(migrations.migrate, settings, list(WIRES))
    keys = credentials(settings.data)
    sdk = Sdk(f"http://127.0.0.1:{settings.port}", keys.write)
    posting = asyncio.create_task(sdk.post(uses(EVENTS, ACCOUNTS, history="h"), BATCH))
    for part in (1, 2):
        async with everything(settings, lifecycle) as (processes, _), dawdling(sdk.url) as never:
            await sdk.reaches(part * EVENTS // 4)
            ended = await asyncio.gather(*(one.stopped(BOUND) for one in processes))
            assert [code for code, _ in ended] == [0] * len(processes), ended
            assert (await never).startswith(b"HTTP/1.1 503 ")
    assert not posting.done(), "the stream ended before the stop: the test proves nothing"
    async with everything(settings, lifecycle) as (_, answers):
        await posting
        await counted(answers, keys.admin)
    assert sdk.refused


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the connection and says nothing."""
    await reader.read()
    writer.close()


async def hangs_after_the_data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the mail and never says whether it has it."""
    writer.write(b"220 mx.test\r\n")
    while line := await reader.readline():
        verb = line.split(b" ")[0].strip().upper()
        writer.write(b"354 go on\r\n" if verb == b"DATA" else b"250 ok\r\n")
        if verb == b"DATA":
            await reader.readuntil(b"\r\n.\r\n")
            await hangs(reader, writer)
            return


def customer() -> list[dict[str, Any]]:
    """Somebody new, who is to be welcomed by mail."""
    who = {"userId": "ann", "context": {"groupId": "acme"}}
    traits = {"email": "ann@acme.test", "name": "Ann Lee", "role": "admin"}
    return [
        who | {"type": "group", "groupId": "acme", "messageId": "g", "traits": {"name": "Acme"}},
        who | {"type": "identify", "messageId": "i", "traits": traits},
        who | {"type": "track", "event": "Signed Up", "messageId": "t"},
    ]


def awake(folder: Path) -> Path:
    """The shipped configuration, but nobody sleeps: this test runs by the real clock, at night and on Sundays too."""
    config = Path(shutil.copytree(ROOT / "config", folder / "config"))
    text = (config / "budget.yaml").read_text("utf8")
    shipped = 'quiet: {from: "20:00", until: "08:00", weekends: true}'
    assert shipped in text
    (config / "budget.yaml").write_text(
        text.replace(shipped, 'quiet: {from: "12:00", until: "12:00", weekends: false}'), "utf8"
    )
    return config


async def deliveries(settings: Settings, key: str) -> list[dict[str, Any]]:
    url = f"http://127.0.0.1:{settings.port}/notify/v1/outbox"
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=30, verify=PLAIN) as http:
        items: list[dict[str, Any]] = (await http.get(url)).json()["items"]
    return [one for one in items if one["step"] == "welcome_hello"]


@pytest.mark.parametrize(("server", "then"), [(hangs, "sent"), (hangs_after_the_data, "unknown")])
async def test_a_mail_server_that_hangs_delays_no_stop_and_doubles_no_mail(
    tmp_path: Path, server: Callable[..., Any], then: str
) -> None:
    port, box = free_port(), Mailbox()
    settings = embedded(tmp_path).model_copy(
        update={
            "config": awake(tmp_path),
            "port": free_port(),
            "outreach": "live",
            "smtp_url": SecretStr(f"smtp://127.0.0.1:{port}"),
        }
    )
    keys = credentials(settings.data)

    async def stage(wanted: str) -> None:
        async def reached() -> bool:
            return any(one["status"] == wanted for one in await deliveries(settings, keys.admin))

        await eventually(reached)

    mute = await asyncio.start_server(server, "127.0.0.1", port)
    async with started(settings, "up") as running:
        await Sdk(running.url, keys.write).post(customer(), 10)
        await stage("sending")
        assert (await running.stopped(BOUND))[0] == 0
    mute.close()
    async with mail_server(box, port), started(settings, "up"):
        await stage(then)
    assert len(box.mails) == (then == "sent")


@contextmanager
def asleep(server: int) -> Iterator[None]:
    """A server whose connections stay open and where nothing answers."""
    processes = [server, *children_of(server)]
    for process in processes:
        assert freeze(process, 60)
    try:
        yield
    finally:
        for process in processes:
            send(process, signal.SIGCONT)


@pytest.mark.servers
@pytest.mark.parametrize("frozen", ["kafka", "postgres"])
async def test_a_server_that_freezes_delays_no_stop(
    request: pytest.FixtureRequest, tmp_path: Path, kafka: Kafka, postgres: Postgres, frozen: str
) -> None:
    settings = scaled(request, tmp_path).model_copy(update={"port": free_port()})
    await asyncio.to_thread(migrations.migrate, settings, list(WIRES))
    server = kafka.pid if frozen == "kafka" else postgres.pid
    sdk = Sdk(f"http://127.0.0.1:{settings.port}", credentials(settings.data).write)
    posting = asyncio.create_task(sdk.post(uses(EVENTS, ACCOUNTS, history="h"), BATCH))
    try:
        async with started(settings, "up") as running:
            await sdk.reaches(EVENTS // 10)
            with asleep(server or 0):
                code, _ = await running.stopped(BOUND)
    finally:
        posting.cancel()
    assert code == 0


async def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    settings = embedded(tmp_path).model_copy(update={"port": free_port()})
    async with started(settings, "up") as running, dawdling(running.url):
        running.process.send_signal(signal.SIGTERM)
        address = running.url.removeprefix("http://").split(":")

        async def refuses() -> bool:
            try:
                _, writer = await asyncio.open_connection(address[0], int(address[1]))
            except ConnectionError:
                return True
            writer.close()
            return False

        await eventually(refuses)
        code, _ = await running.stopped(BOUND)
    assert code == -signal.SIGTERM
