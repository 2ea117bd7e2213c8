"""Refusals for now: 503 and 429 with the seconds after which to retry; nothing is lost, nothing is double."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx2
import msgspec
import pytest
from starlette.applications import Starlette

from deploy.servers import Postgres
from services.ingest.admission import FairShare
from services.ingest.http import CaptureApi
from shared.bus.producer import Size
from shared.bus.protocol import ProducerRecord
from shared.failures import Retry
from shared.http.bodies import BodyTimeouts
from shared.keys import Keys
from tests.conftest import scaled
from tests.make import FakeClock, eventually
from tests.service.ingest.make import ANN, bearer, connected, running
from tests.service.serving.make import listening

KEY = "a-write-key-of-a-test"
KEYS = Keys([("server", "web", KEY)])


class NoLog:
    """A log that does not answer, or answers with an error of its own."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def publish(self, topic: str, records: Sequence[ProducerRecord]) -> None:  # noqa: ARG002
        raise self.error


class SlowLog:
    """A log that takes nothing before it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.waiting = 0

    async def publish(self, topic: str, records: Sequence[ProducerRecord]) -> None:  # noqa: ARG002
        self.waiting += 1
        await self.may.wait()


def app(error: Exception, timeouts: BodyTimeouts | None = None) -> Starlette:
    return Starlette(routes=CaptureApi(NoLog(error), KEYS, FakeClock(), timeouts).routes())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "status", "after"),
    [
        (Retry("full", 7), 503, "7"),
        (OSError("gone"), 503, "5"),
        (TimeoutError(), 503, "5"),
        (KeyError("bug"), 500, None),
    ],
)
async def test_a_log_that_refuses_is_answered_with_when_to_retry(
    error: Exception, status: int, after: str | None
) -> None:
    async with connected(app(error)) as client:
        answer = await client.post(f"/v1/track?writeKey={KEY}", json=ANN)
        nothing = await client.post(f"/v1/batch?writeKey={KEY}", json={"batch": []})
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, after)
    assert {"code", "message", "detail"} <= answer.json().keys()
    assert "bug" not in answer.text
    assert nothing.status_code == 200


@pytest.mark.servers
async def test_a_database_that_is_down_is_not_our_error(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres
) -> None:
    async with running(scaled(request, tmp_path)) as ingest:
        postgres.stop("immediate")
        try:
            listed = await ingest.client.get("/ingest/v1/parked", headers=bearer(ingest.keys.read))
            body = {"ids": ["00000000-0000-0000-0000-000000000000"]}
            redriven = await ingest.client.post(
                "/ingest/v1/parked/redrive", json=body, headers=bearer(ingest.keys.admin)
            )
            taken = await ingest.post(ANN | {"messageId": "meanwhile"})
        finally:
            await asyncio.to_thread(postgres.start)
        assert [answer.status_code for answer in (listed, redriven, taken)] == [503, 503, 200]
        assert (listed.headers["retry-after"], listed.json()["code"]) == ("5", "unavailable")
        assert [event.id for event in await ingest.published()] == ["meanwhile"]


@pytest.mark.parametrize("timeouts", [BodyTimeouts(piece=0.2), BodyTimeouts(whole=0.2)])
async def test_a_body_that_does_not_come_is_not_waited_for(timeouts: BodyTimeouts) -> None:
    async with listening(app(Retry("never asked"), timeouts)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        async with asyncio.timeout(60):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"slow_body"' in answer


async def test_a_client_that_goes_away_in_the_middle_harms_nobody() -> None:
    async with listening(app(Retry("never asked"))) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v1/batch HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(60):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 405 ")


async def test_a_flood_on_one_key_does_not_cost_the_others_theirs() -> None:
    log, keys = SlowLog(), Keys([("server", name, f"write-key-of-{name}") for name in ("flood", "calm")])
    capture = CaptureApi(log, keys, FakeClock(), fair_share=FairShare(Size(10, 10**9)))  # type: ignore[arg-type]
    async with connected(Starlette(routes=capture.routes())) as client:

        async def send(name: str, events: int) -> httpx2.Response:
            body = {"batch": [ANN] * events, "writeKey": f"write-key-of-{name}"}
            return await client.post("/v1/batch", content=msgspec.json.encode(body))

        async def waiting(requests: int) -> None:
            async def so_many() -> bool:
                return log.waiting == requests

            await eventually(so_many)

        taken = [asyncio.create_task(send("flood", 4))]
        await waiting(1)
        taken.append(asyncio.create_task(send("calm", 1)))
        await waiting(2)
        refused = await send("flood", 2)
        taken.append(asyncio.create_task(send("calm", 1)))
        await waiting(3)
        log.may.set()
        assert [(await one).status_code for one in taken] == [200, 200, 200]
        assert (await send("flood", 9)).status_code == 200
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert refused.json()["code"] == "too_many_requests"
