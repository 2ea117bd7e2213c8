"""The poster: survives a busy server, keeps the order of each account, and stops where a retry cannot help."""

import asyncio
import gzip
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from waymark.importing import GaveUp, HistoryRecord, Posted, Progress, ServerRefused, Target, import_file, post
from waymark.importing.poster import Batch, batches

Write = Callable[..., Path]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Server:
    """Speaks our batch protocol: answers what it is told to, in turn, then 200; keeps what it accepted."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.tries = 0
        self.headers: list[dict[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.busy = self.most_at_once = 0
        self.url = ""

    async def batch(self, request: Request) -> Response:
        self.tries += 1
        self.busy += 1
        self.most_at_once = max(self.most_at_once, self.busy)
        body = msgspec.json.decode(gzip.decompress(await request.body()))
        await asyncio.sleep(0.002)
        self.busy -= 1
        if self.answers:
            return self.answers.pop(0)
        self.headers.append(dict(request.headers))
        self.bodies.append(body)
        return JSONResponse({"success": True, "accepted": len(body["batch"])})

    def events(self, account: str) -> list[int]:
        everything = itertools.chain.from_iterable(body["batch"] for body in self.bodies)
        return [event["n"] for event in everything if event["account"] == account]


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[Server]:
    app = Starlette(routes=[Route("/v1/batch", server.batch, methods=["POST"])])
    web = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none"))
    serving = asyncio.create_task(web.serve())
    while not web.started:  # noqa: ASYNC110  uvicorn offers a flag, not an event
        await asyncio.sleep(0.005)
    server.url = f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        web.should_exit = True
        await serving


def records(count: int, accounts: int = 3) -> list[HistoryRecord]:
    return [HistoryRecord({"n": n, "account": f"a{n % accounts}"}, f"a{n % accounts}", n * 10) for n in range(count)]


class Pauses(list[float]):
    """Remembers how long it was asked to wait, and does not."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def busy(status: int = 503, **headers: str) -> Response:
    said = {"code": "busy", "message": "come back"}
    return JSONResponse(said, status, {name.replace("_", "-"): value for name, value in headers.items()})


async def test_everything_arrives_in_order_one_request_at_a_time():
    async with running(Server()) as server:
        posted = await post(records(1234), Target(server.url, "key", batch_size=100), "import-1")
    assert [event["n"] for body in server.bodies for event in body["batch"]] == list(range(1234))
    assert len(server.bodies) == 13
    assert server.most_at_once == 1
    assert (posted.events, posted.accepted, posted.rejected) == (1234, 1234, 0)


async def test_a_batch_names_its_import_and_its_write_key():
    async with running(Server()) as server:
        await post(records(1), Target(server.url, "key"), "import-1")
    assert server.bodies[0]["history"] == "import-1"
    assert server.bodies[0]["sentAt"] is None
    assert server.headers[0]["authorization"] == "Basic a2V5Og=="
    assert server.headers[0]["content-encoding"] == "gzip"


async def test_a_busy_server_is_asked_again_and_nothing_is_lost_or_doubled():
    async with running(Server(busy(), busy())) as server:
        await post(records(250), Target(server.url, "key", batch_size=100), "i", sleep=Pauses())
    assert server.tries == 3 + 2
    assert [event["n"] for body in server.bodies for event in body["batch"]] == list(range(250))


async def test_it_waits_as_long_as_the_server_asks_and_else_doubles():
    pauses = Pauses()
    async with running(Server(busy(429, retry_after="7"), busy(), busy(502))) as server:
        await post(records(1), Target(server.url, "key"), "i", sleep=pauses)
    assert pauses == [7.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("status", "advice"), [(400, "Waymark server"), (401, "write key"), (404, "URL"), (413, "smaller --batch-size")]
)
async def test_a_refusal_stops_at_once_and_says_what_to_change(status: int, advice: str):
    async with running(Server(busy(status))) as server:
        with pytest.raises(ServerRefused, match=advice) as refused:
            await post(records(1000), Target(server.url, "key", batch_size=100), "i")
    assert refused.value.status == status
    assert "come back" in str(refused.value)
    assert server.tries == 1


async def test_a_server_that_stays_busy_is_given_up_after_the_deadline():
    pauses = Pauses()
    async with running(Server(*[busy() for _ in range(50)])) as server:
        with pytest.raises(GaveUp, match="it answered 503"):
            await post(records(1), Target(server.url, "key", retry_seconds=15), "i", sleep=pauses)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0]


async def test_a_server_that_is_not_there_is_given_up_after_the_deadline():
    with pytest.raises(GaveUp, match="no success within 2 s"):
        await post(records(1), Target("http://127.0.0.1:9", "key", retry_seconds=2), "i", sleep=Pauses())


async def test_several_connections_keep_each_accounts_order():
    async with running(Server(busy())) as server:
        target = Target(server.url, "key", batch_size=10, connections=4)
        posted = await post(records(2000, accounts=20), target, "i", sleep=Pauses())
    for number in range(20):
        assert server.events(f"a{number}") == list(range(number, 2000, 20))
    assert posted.accepted == 2000
    assert 1 < server.most_at_once <= 4


async def test_a_refusal_on_one_of_several_connections_stops_all():
    async with running(Server(busy(401))) as server:
        with pytest.raises(ServerRefused):
            await post(records(9000, 50), Target(server.url, "key", batch_size=10, connections=4), "i")
    assert server.tries < 20


async def test_progress_is_told_after_every_batch():
    told: list[Progress] = []
    async with running(Server()) as server:
        await post(records(250), Target(server.url, "key", batch_size=100), "i", told.append)
    assert told == [Progress(100, 990), Progress(200, 1990), Progress(250, 2490)]


async def test_huge_events_travel_in_smaller_batches():
    big = [HistoryRecord({"n": n, "account": "a", "x": "y" * 1_000_000}, "a", n) for n in range(9)]
    async with running(Server()) as server:
        await post(big, Target(server.url, "key"), "i")
    assert [len(body["batch"]) for body in server.bodies] == [4, 4, 1]


async def test_nothing_to_post_is_no_request():
    async with running(Server()) as server:
        posted = await post([], Target(server.url, "key"), "i")
    assert server.tries == 0
    assert posted.events == 0


def test_the_rate_of_nothing_is_nothing():
    assert Posted(0, 0, 0, 0.0).rate == 0
    assert Posted(600, 600, 0, 2.0).rate == 300


async def test_a_file_is_imported_and_accounted_for(write: Write):
    lines = [
        {"account_id": f"a{n % 2}", "event": "used", "timestamp": f"2026-03-{n:02}T00:00:00Z"} for n in range(1, 21)
    ]
    path = write(*lines, "broken", name="history.ndjson.gz")
    told: list[tuple[Progress, int]] = []
    async with running(Server()) as server:
        done = await import_file(
            path, Target(server.url, "key", 10), NOW, None, lambda at, size: told.append((at, size))
        )
    assert (done.lines, done.accounts, done.skipped_count, done.live, done.unsorted) == (21, 2, 1, False, None)
    assert done.posted.events == 22
    assert [body["history"] for body in server.bodies] == [done.import_id] * 3
    assert told[-1] == (Progress(22, path.stat().st_size), path.stat().st_size)


async def test_importing_a_file_again_sends_the_same_ids(write: Write):
    line = {"account_id": "a", "event": "used", "timestamp": "2026-03-01T00:00:00Z"}
    path = write(line, line)
    async with running(Server()) as server:
        await import_file(path, Target(server.url, "key"), NOW)
        await import_file(path, Target(server.url, "key"), NOW)
    first, second = ([event["messageId"] for event in body["batch"]] for body in server.bodies)
    assert first == second
    assert len(set(first)) == 3


def bodies(batch: Batch) -> list[dict[str, Any]]:
    return list(msgspec.json.decode(gzip.decompress(batch.content))["batch"])


def test_a_position_is_the_same_over_any_number_of_connections():
    placed = [record._replace(position=number) for number, record in enumerate(records(40, accounts=7), 1)]
    places = []
    for lanes in (1, 3):
        sent = [body for batch in batches(placed, "i", 5, lanes) for body in bodies(batch)]
        by_stream: dict[str, list[int]] = {}
        for body in sent:
            stream, _, position = body["importPosition"].partition(":")
            by_stream.setdefault(stream, []).append(int(position))
        assert all(of == sorted(of) for of in by_stream.values())
        places.append({body["n"]: body["importPosition"] for body in sent})
    assert places[0] == places[1]
