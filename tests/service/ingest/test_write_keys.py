"""Write keys at the door: from which pages they may be used, what a sender without one can cost, and that none is stored."""

import asyncio
import base64
import gzip
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware

from services.ingest.admission import SourceRates
from services.ingest.http import CaptureApi
from shared.bus.protocol import Record
from shared.contracts.topics import USAGE_RAW
from shared.http.bodies import BodyMemoryLimit
from shared.keys import Key, Keys, Rates, digest
from shared.settings import Settings
from tests.make import FakeClock, eventually
from tests.service.ingest.make import ANN, FromTheStart, RunningIngest, connected, running
from tests.service.serving.make import listening

APP, ELSEWHERE = "https://app.example.com", "https://evil.example"
PUBLIC, SECRET, UNKNOWN = "a-public-key-of-a-website", "a-secret-key-of-a-server", "a-key-that-nobody-knows"


class OpenLog:
    """A log that takes everything."""

    async def publish(self, *_given: Any) -> None:
        pass


def door(*, with_server_key: bool = True) -> Starlette:
    keys = Keys([("server", "backend", SECRET)] if with_server_key else [])
    keys.replace_issued({digest(PUBLIC): Key("website", "browser", "id", (APP,), Rates())})
    return Starlette(routes=CaptureApi(OpenLog(), keys, FakeClock()).routes())  # type: ignore[arg-type]


async def post(client: httpx2.AsyncClient, key: str, **headers: str) -> httpx2.Response:
    return await client.post("/v1/batch", json={"batch": [ANN], "writeKey": key}, headers=headers)


async def test_a_page_of_another_origin_is_refused_in_clear_words_and_may_not_read_them() -> None:
    async with connected(door()) as client:
        ours = await post(client, PUBLIC, Origin=APP)
        theirs = await post(client, PUBLIC, Origin=ELSEWHERE)
        with_basic = await client.post("/v1/t", json=ANN, auth=(PUBLIC, ""), headers={"Origin": "null"})

    assert (ours.status_code, ours.headers["access-control-allow-origin"]) == (200, "*")
    for refused in (theirs, with_basic):
        assert (refused.status_code, refused.json()["code"]) == (403, "origin_not_allowed")
        assert "access-control-allow-origin" not in refused.headers
    assert ELSEWHERE in theirs.json()["message"]


async def test_a_server_may_use_a_public_key_and_a_key_without_a_list_any_origin() -> None:
    async with connected(door()) as client:
        answers = [await post(client, PUBLIC), await post(client, SECRET, Origin=ELSEWHERE)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].headers["access-control-allow-origin"] == "*"


async def test_a_preflight_is_refused_where_no_key_would_do() -> None:
    def ask(origin: str) -> dict[str, str]:
        return {"Origin": origin, "Access-Control-Request-Method": "POST"}

    async with connected(door()) as client:
        some_key_would_do = await client.options("/v1/batch", headers=ask(ELSEWHERE))
        of_the_key = await client.options(f"/v1/batch?writeKey={PUBLIC}", headers=ask(ELSEWHERE))
    async with connected(door(with_server_key=False)) as client:
        none_would = await client.options("/v1/batch", headers=ask(ELSEWHERE))
        ours = await client.options("/v1/batch", headers=ask(APP))

    answers = (some_key_would_do, of_the_key, none_would, ours)
    assert [answer.status_code for answer in answers] == [200, 403, 403, 200]


async def test_the_settings_of_an_sdk_take_a_public_key_from_its_own_pages() -> None:
    async with connected(door()) as client:
        answers = [
            await client.get(f"/v1/projects/{key}/settings", headers={"Origin": origin})
            for key, origin in ((PUBLIC, APP), (PUBLIC, ELSEWHERE), (UNKNOWN, APP))
        ]

    assert [answer.status_code for answer in answers] == [200, 403, 404]


@pytest.mark.parametrize("place", ["Authorization", "query"])
async def test_an_unknown_key_in_the_head_is_told_before_the_body_comes(place: str) -> None:
    basic = "Authorization: Basic " + base64.b64encode(f"{UNKNOWN}:".encode()).decode() + "\r\n"
    path = f"/v1/batch?writeKey={UNKNOWN}" if place == "query" else "/v1/batch"
    async with listening(door()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{basic if place != 'query' else ''}Content-Length: 9999999\r\n\r\n"
        writer.write(head.encode())
        status = await reader.readline()
        writer.close()

    assert b"401" in status


async def test_who_has_no_key_is_told_before_anything_is_parsed() -> None:
    events = b",".join([b'{"writeKey":"%s","a":[[[' % UNKNOWN.encode()] * 10_000)
    async with connected(door()) as client:
        answer = await client.post("/v1/batch", content=b'{"batch":[' + events)

    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_key")


@pytest.mark.parametrize(("size", "said"), [(19, 401), (200, 413)])
async def test_what_is_inflated_for_nobody_is_bounded_and_costs_nobody_else(size: int, said: int) -> None:
    bomb = gzip.compress(bytes(size * 1024 * 1024), 9)
    good = gzip.compress(msgspec.json.encode({"batch": [ANN], "writeKey": PUBLIC}))
    async with connected(door()) as client:
        statuses = [(await client.post("/v1/batch", content=bomb)).status_code for _ in range(6)]
        in_the_body = await client.post("/v1/batch", content=good)
        in_the_head = await client.post("/v1/batch", content=good, auth=(PUBLIC, ""))
        plain = await post(client, PUBLIC)

    assert statuses == [said] * 4 + [429] * 2
    assert (in_the_body.status_code, in_the_body.headers["retry-after"].isdecimal()) == (429, True)
    assert (in_the_head.status_code, plain.status_code) == (200, 200)


async def test_compressed_bodies_with_their_key_inside_are_not_counted() -> None:
    events = [ANN | {"properties": {"text": "x" * 1_000_000}}] * 12
    good = gzip.compress(msgspec.json.encode({"batch": events, "writeKey": PUBLIC}))
    async with connected(door()) as client:
        assert [(await client.post("/v1/batch", content=good)).status_code for _ in range(8)] == [200] * 8


async def test_slow_bodies_without_a_key_hold_no_memory_that_others_need() -> None:
    head, most = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n", 8_900_000
    async with listening(Starlette(routes=door().routes, middleware=[Middleware(BodyMemoryLimit)])) as port:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(16)]
        for _, writer in slow:
            writer.write(head + b"x" * most)
        answered = [asyncio.ensure_future(reader.readline()) for reader, _ in slow]

        async def refused() -> bool:
            done = [answer.result() for answer in answered if answer.done() and not answer.exception()]
            return sum(b"429" in line for line in done) >= 10

        await eventually(refused)
        large = {"batch": [ANN | {"properties": {"text": "x" * 900_000}}] * 9, "writeKey": PUBLIC}
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            in_the_head = await client.post("/v1/batch", json=large, auth=(PUBLIC, ""))
            small = await post(client, PUBLIC)
        for task in answered:
            task.cancel()
        for _, writer in slow:
            writer.close()

    assert (in_the_head.status_code, small.status_code) == (200, 200)


@pytest.mark.parametrize("place", ["head", "body"])
async def test_work_for_a_body_that_is_refused_is_charged_too(place: str) -> None:
    keys = Keys([])
    keys.replace_issued({digest(PUBLIC): Key("website", "browser", "id", (), Rates(bytes_per_minute=2_000_000))})
    rates = SourceRates({})
    app = Starlette(routes=CaptureApi(OpenLog(), keys, FakeClock(), rates=rates).routes())  # type: ignore[arg-type]
    broken = b'{"writeKey":"%b","batch":%b' % (PUBLIC.encode(), b"[" * 1_500_000)
    async with connected(app) as client:
        auth = (PUBLIC, "") if place == "head" else None
        statuses = [(await client.post("/v1/batch", content=broken, auth=auth)).status_code for _ in range(3)]

    assert statuses == [400, 400, 429]


async def stored(ingest: RunningIngest) -> list[Record]:
    """Every raw record."""
    found: list[Record] = []

    async def all_of_them() -> bool:
        found.extend(record for batch in await reader.poll(1000, 0.2) for record in batch.records)
        bounds = await ingest.context.bus.bounds([USAGE_RAW.name])
        return len(found) >= sum(bound.end for bound in bounds.values())

    async with ingest.context.bus.reader("keys", [USAGE_RAW.name], FromTheStart()) as reader:
        await eventually(all_of_them)
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


async def test_no_write_key_is_stored(tmp_path: Path) -> None:
    async with running(Settings(data=tmp_path)) as ingest:
        key, client = ingest.keys.write, ingest.client
        beside = ANN | {"writeKey": key, "messageId": "beside"}
        mentioned = ANN | {"messageId": "mentioned", "properties": {"url": f"https://x.example/?writeKey={key}"}}
        another = ANN | {"messageId": "another", "context": {"groupId": "acme", "writeKey": "of\\/another"}}
        bad = {"type": "nonsense", "userId": "u", "writeKey": key}
        too_large = ANN | {"writeKey": key, "properties": {"text": "x" * 1_100_000}}
        posts = [
            await client.post("/v1/track", json=beside | {"messageId": "single"}),
            await client.post(
                "/v1/batch", json={"writeKey": key, "batch": [beside, mentioned, another, bad, too_large]}
            ),
            await client.post(f"/v1/batch?writeKey={key}", json={"batch": [beside | {"messageId": "query"}]}),
            await client.post("/v1/track", content=msgspec.json.encode(beside)[:-1] + b',"x":NaN}'),
        ]
        assert [answer.status_code for answer in posts] == [200] * 4
        events = await ingest.published()
        parked = await ingest.parked()
        records = await stored(ingest)

    assert sorted({event.id for event in events}) == ["another", "beside", "mentioned", "query", "single"]
    assert sorted(one["reason"] for one in parked) == ["too_large", "unknown_type"]
    assert len(records) == 8
    for said in (repr(records), repr(parked), repr([bytes(event.properties) for event in events])):
        assert key not in said
        assert "of\\/another" not in said
    assert b"https://x.example/?writeKey=[write key]" in b"".join(record.value for record in records)
    assert [name for name, content in files(tmp_path).items() if key.encode() in content] == ["credentials.json"]
