"""Posting: every path, body and place for a key that SDKs use."""

import base64
import gzip
from collections.abc import AsyncIterator

import httpx2
import msgspec
import pytest

from tests.service.ingest.make import ANN, RunningIngest, bearer, facts

PATHS = ["batch", "import", "b"]
KINDS = ["track", "identify", "group", "page", "screen", "alias"]
SINGLE = [*KINDS, *(kind[0] for kind in KINDS)]


@pytest.mark.parametrize("slash", ["", "/"])
async def test_batches_are_taken_on_every_path_of_theirs(embedded_ingest: RunningIngest, slash: str) -> None:
    for path in PATHS:
        answer = await embedded_ingest.post(ANN | {"messageId": path}, path=f"/v1/{path}{slash}")
        assert answer.json() == {"success": True, "accepted": 1}
    assert facts(await embedded_ingest.published()) == [(path, "acme") for path in PATHS]


@pytest.mark.parametrize("slash", ["", "/"])
async def test_single_events_are_taken_on_every_path_of_theirs(embedded_ingest: RunningIngest, slash: str) -> None:
    untyped = {key: value for key, value in ANN.items() if key != "type"}
    for path in SINGLE:
        body = untyped | {"messageId": path, "writeKey": embedded_ingest.keys.write, "previousId": "anon"}
        answer = await embedded_ingest.client.post(f"/v1/{path}{slash}", content=msgspec.json.encode(body))
        assert (answer.status_code, answer.json()) == (200, {"success": True, "accepted": 1})
    assert [(event.id, event.type) for event in await embedded_ingest.published()] == list(
        zip(SINGLE, KINDS * 2, strict=True)
    )


@pytest.mark.parametrize("media", ["application/json", "text/plain", "application/x-www-form-urlencoded", "a/b", None])
@pytest.mark.parametrize("zipped", [False, True])
async def test_the_content_type_says_nothing(embedded_ingest: RunningIngest, media: str | None, zipped: bool) -> None:
    body = msgspec.json.encode({"batch": [ANN], "writeKey": embedded_ingest.keys.write})
    headers = {"Content-Type": media} if media else {}
    answer = await embedded_ingest.client.post(
        "/v1/batch", content=gzip.compress(body) if zipped else body, headers=headers
    )
    assert answer.json() == {"success": True, "accepted": 1}


async def test_a_claim_of_gzip_is_not_believed(embedded_ingest: RunningIngest) -> None:
    body = msgspec.json.encode({"batch": [ANN], "writeKey": embedded_ingest.keys.write})
    assert (
        await embedded_ingest.client.post("/v1/batch", content=body, headers={"Content-Encoding": "gzip"})
    ).status_code == 200


async def test_the_key_may_stand_in_four_places(embedded_ingest: RunningIngest) -> None:
    key, body = embedded_ingest.keys.write, msgspec.json.encode({"batch": [ANN]})
    basic = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
    for headers, query, content in (
        ({"Authorization": basic}, "", body),
        ({}, f"?writeKey={key}", body),
        ({}, "", msgspec.json.encode({"batch": [ANN], "writeKey": key})),
        (bearer(key), "", body),
        (bearer("an-oauth-token"), "", msgspec.json.encode({"batch": [ANN], "writeKey": key})),
    ):
        answer = await embedded_ingest.client.post(f"/v1/batch{query}", content=content, headers=headers)
        assert answer.status_code == 200, (headers, query)


def problem(answer: httpx2.Response) -> tuple[int, str]:
    """Status and code of an error in the one form that SDKs and people both read."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (body["status"], body["message"]) == (answer.status_code, body["detail"])
    assert body["message"]
    return answer.status_code, body["code"]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (b"", (400, "bad_json")),
        (b"{", (400, "bad_json")),
        (b"\xff", (400, "bad_json")),
        (b"[]", (400, "bad_shape")),
        (b'{"batch":{}}', (400, "bad_shape")),
        (b'{"batch":' + b"[" * 100_000, (400, "too_deep")),
        (b'{"batch":[]}', (401, "no_key")),
        (b'{"batch":[],"writeKey":"unknown"}', (401, "unknown_key")),
        (b" " * (10 * 1024 * 1024 + 1), (413, "too_large")),
        (gzip.compress(bytes(21 * 1024 * 1024), mtime=0), (413, "too_large")),
        (gzip.compress(b"{}", mtime=0)[:-1], (400, "bad_gzip")),
    ],
)
async def test_a_wrong_body_is_told_what_is_wrong(
    embedded_ingest: RunningIngest, body: bytes, wrong: tuple[int, str]
) -> None:
    assert problem(await embedded_ingest.client.post("/v1/batch", content=body)) == wrong


async def test_only_a_write_key_writes(embedded_ingest: RunningIngest) -> None:
    for key in (embedded_ingest.keys.read, embedded_ingest.keys.admin):
        refused = await embedded_ingest.client.post(f"/v1/track?writeKey={key}", json=ANN)
        assert problem(refused) == (401, "unknown_key")
        assert "events take a write key" in refused.json()["message"]


async def test_a_body_in_pieces_is_measured_as_it_comes(embedded_ingest: RunningIngest) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 1024 * 1024

    assert problem(await embedded_ingest.client.post("/v1/batch", content=pieces())) == (413, "too_large")


async def test_508_kilobytes_are_a_batch(embedded_ingest: RunningIngest) -> None:
    events = [ANN | {"messageId": str(n), "properties": {"x": "y" * 4900}} for n in range(101)]
    await embedded_ingest.post(*events)
    assert len(await embedded_ingest.published()) == 101


async def test_strict_refuses_what_would_be_parked(embedded_ingest: RunningIngest) -> None:
    for bad, code in (
        ({"event": ""}, "no_event_name"),
        ({"context": 5}, "bad_shape"),
        ({"userId": "\0"}, "nul_character"),
    ):
        body = {"batch": [ANN, ANN | bad], "writeKey": embedded_ingest.keys.write}
        answer = await embedded_ingest.client.post("/v1/batch?strict=true", json=body)
        assert problem(answer) == (400, code)
        assert answer.json()["message"].startswith("event 1: ")
    await embedded_ingest.post(ANN, path="/v1/batch?strict=true")
    assert len(await embedded_ingest.published()) == 1


async def test_a_browser_of_any_origin_may_post(embedded_ingest: RunningIngest) -> None:
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-retry-count,anonymousid,rsa-retry-attempt",
    }
    preflight = await embedded_ingest.client.options("/v1/t", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "x-retry-count" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["access-control-max-age"] == "86400"
    assert "access-control-allow-credentials" not in preflight.headers
    for path in ("/v1/t", "/v1/nothing"):
        answer = await embedded_ingest.client.post(path, content=b"{", headers={"Origin": "https://app.example"})
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_another_method_is_told_to_post(embedded_ingest: RunningIngest, method: str) -> None:
    answer = await embedded_ingest.client.request(method, "/v1/batch")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
    assert method == "HEAD" or problem(answer) == (405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/v1/", "/v1/batches", "/v1/t/t", "/v1/parked", "/v1/batch/x"])
async def test_an_unknown_path_is_told_where_to_post(embedded_ingest: RunningIngest, path: str) -> None:
    answer = await embedded_ingest.client.post(path, json=ANN)
    assert problem(answer) == (404, "not_found")
    assert "/v1/batch" in answer.json()["message"]


async def test_a_browser_sdk_gets_its_settings(embedded_ingest: RunningIngest) -> None:
    key = embedded_ingest.keys.write
    answer = await embedded_ingest.client.get(f"/v1/projects/{key}/settings", headers={"Origin": "https://app.example"})
    assert answer.json() == {"integrations": {"Segment.io": {"apiKey": key}}, "metrics": {"sampleRate": 0}}
    assert answer.headers["access-control-allow-origin"] == "*"
    assert problem(await embedded_ingest.client.get("/v1/projects/unknown/settings")) == (404, "unknown_key")


async def test_an_sdks_own_metrics_are_dropped(embedded_ingest: RunningIngest) -> None:
    answer = await embedded_ingest.client.post("/v1/m", content=b'{"series":[]}')
    assert (answer.status_code, answer.json()) == (200, {"success": True, "accepted": 0})
    assert await embedded_ingest.published() == []


async def test_a_bad_event_of_a_batch_loses_nothing_else(embedded_ingest: RunningIngest) -> None:
    events = [msgspec.json.encode(ANN | {"messageId": str(n), "properties": {"n": n}}) for n in range(100)]
    events[17] = events[17].replace(b'{"n":17}', b'{"n":NaN}')
    events[40] = events[40].replace(b'{"n":40}', b'{"n":' + b"[" * 9000 + b"]" * 9000 + b"}")
    body = b'\xef\xbb\xbf{"batch":[%b],"writeKey":"%b"}' % (b",".join(events), embedded_ingest.keys.write.encode())
    answer = await embedded_ingest.client.post("/v1/batch", content=body)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 100)
    published = {event.id: msgspec.json.decode(event.properties) for event in await embedded_ingest.published()}
    assert published == {str(n): {"n": n if n != 17 else None} for n in range(100) if n != 40}
    assert [one["reason"] for one in await embedded_ingest.parked()] == ["too_deep"]
