"""Keys by REST: created, listed, rotated and revoked while the service runs."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.settings import Settings
from tests.make import NOON, eventually
from tests.service.ingest.make import ANN, RunningIngest, bearer, running

WEBSITE = {"kind": "browser", "name": "website", "origins": ["https://app.example.com"]}


async def call(ingest: RunningIngest, method: str, path: str = "", status: int = 200, **json: Any) -> Any:
    body = {"json": json} if method == "POST" else {}
    answer = await ingest.client.request(method, f"/ingest/v1/keys{path}", headers=bearer(ingest.keys.admin), **body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def taken(ingest: RunningIngest, key: str) -> int:
    return (await ingest.client.post("/v1/batch", json={"batch": [ANN]}, auth=(key, ""))).status_code


async def test_a_key_is_created_rotated_and_revoked_while_the_service_runs(tmp_path: Path) -> None:
    async with running(Settings(data=tmp_path)) as ingest:
        old = await call(ingest, "POST", status=201, **WEBSITE)
        assert await taken(ingest, old["key"]) == 200
        new = await call(ingest, "POST", f"/{old['id']}/rotate", 201)
        assert [await taken(ingest, key) for key in (old["key"], new["key"])] == [200, 200]
        assert [event.source for event in await ingest.published()] == ["website"], (
            "one source: its repeats are dropped"
        )
        await call(ingest, "POST", f"/{old['id']}/revoke")
        assert [await taken(ingest, key) for key in (old["key"], new["key"])] == [401, 200]

        listed = (await call(ingest, "GET"))["items"]

    shown = {(key["name"], key["kind"], key["told_by"], key["state"]) for key in listed}
    assert shown == {
        ("website", "browser", "issued", "live"),
        ("website", "browser", "issued", "revoked"),
        *(("default", kind, "settings", "live") for kind in ("server", "read", "admin")),
    }
    assert listed[0]["origins"] == WEBSITE["origins"]
    assert not any(key in repr(listed) for key in (old["key"], new["key"], *ingest.keys))


async def test_the_old_key_ends_when_it_was_said_to(tmp_path: Path) -> None:
    async with running(Settings(data=tmp_path)) as ingest:
        old = await call(ingest, "POST", status=201, **WEBSITE)
        until = (NOON + timedelta(hours=1)).isoformat()
        await call(ingest, "POST", f"/{old['id']}/rotate", 201, old_valid_until=until)
        assert await taken(ingest, old["key"]) == 200
        ingest.clock.move(timedelta(hours=1))

        async def ended() -> bool:
            return await taken(ingest, old["key"]) == 401

        await eventually(ended)


async def test_the_last_use_of_a_key_is_listed(tmp_path: Path) -> None:
    async with running(Settings(data=tmp_path)) as ingest:
        await ingest.post(ANN)

        async def noted() -> bool:
            uses = {key["id"]: key["last_used_at"] for key in (await call(ingest, "GET"))["items"]}
            return uses["settings:server:default"] is not None and uses["settings:read:default"] is None

        await eventually(noted)


async def test_keys_take_an_admin_and_those_of_the_settings_stay(tmp_path: Path) -> None:
    async with running(Settings(data=tmp_path)) as ingest:
        for key in (ingest.keys.read, ingest.keys.write):
            answer = await ingest.client.get("/ingest/v1/keys", headers=bearer(key))
            assert answer.status_code == 403
        said = await call(ingest, "POST", "/settings:server:default/revoke", 409)
        assert said["code"] == "key_of_settings"
        assert (await call(ingest, "POST", "/nothing/revoke", 404))["code"] == "not_found"
        assert await taken(ingest, ingest.keys.write) == 200


@pytest.mark.parametrize(
    "wanted",
    [
        {"kind": "owner", "name": "x"},
        {"kind": "browser", "name": "x", "rates": {"events_per_minute": -1}},
        {"kind": "browser", "name": "x", "scope": "all"},
        {"kind": "browser", "name": "x", "origins": ["https://a.example/path"]},
    ],
)
async def test_what_cannot_be_a_key_is_told(tmp_path: Path, wanted: dict[str, Any]) -> None:
    async with running(Settings(data=tmp_path)) as ingest:
        await call(ingest, "POST", status=422, **wanted)
