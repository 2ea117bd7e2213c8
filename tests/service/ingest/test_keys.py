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
    body = {"json": json} if method in {"POST", "PATCH"} else {}
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


async def test_a_source_is_changed_without_a_new_key(tmp_path: Path) -> None:
    async with running(Settings(data=tmp_path)) as ingest:
        old = await call(ingest, "POST", status=201, **WEBSITE, rates={"events_per_minute": 7, "accounts_per_hour": 9})
        new = await call(ingest, "POST", f"/{old['id']}/rotate", 201)
        rates, times = {"events_per_minute": None, "contacts_per_hour": 3}, {"days_back": 90}
        changed = await call(ingest, "PATCH", f"/{new['id']}", rates=rates, times=times)
        await call(ingest, "PATCH", f"/{new['id']}", origins=[])
        listed = {key["id"]: key for key in (await call(ingest, "GET"))["items"]}
        acts = await ingest.client.get("/ingest/v1/audit?action=key_changed", headers=bearer(ingest.keys.admin))

    assert changed["origins"] == WEBSITE["origins"], "what is not named stays"
    for key in (old, new):
        shown = listed[key["id"]]
        assert (shown["origins"], shown["times"]["days_back"]) == ([], 90), "two live keys are one source"
        assert {name: rate for name, rate in shown["rates"].items() if rate is not None} == {
            "accounts_per_hour": 9,
            "contacts_per_hour": 3,
        }
    assert sorted((act["details"] for act in acts.json()["items"]), key=len) == [
        {"name": "website", "kind": "browser", "origins": [WEBSITE["origins"], []]},
        {
            "name": "website",
            "kind": "browser",
            "events_per_minute": [7, None],
            "contacts_per_hour": [None, 3],
            "days_back": [None, 90],
        },
    ]


@pytest.mark.parametrize(
    ("kind", "changes", "code"),
    [
        ("browser", {}, "nothing_to_change"),
        ("browser", {"times": {"import_days_back": 3}}, "bad_time"),
        ("browser", {"times": {"days_back": 0}}, "bad_time"),
        ("import", {"times": {"days_back": 3}}, "bad_time"),
        ("server", {"times": {"minutes_ahead": 1441}}, "bad_time"),
        ("server", {"origins": ["https://app.example.com"]}, "bad_origin"),
        ("read", {"rates": {"events_per_minute": 1}}, "wrong_kind"),
    ],
)
async def test_what_cannot_be_changed_is_told(tmp_path: Path, kind: str, changes: dict[str, Any], code: str) -> None:
    async with running(Settings(data=tmp_path)) as ingest:
        made = await call(ingest, "POST", status=201, kind=kind, name="x")
        assert (await call(ingest, "PATCH", f"/{made['id']}", 422, **changes))["code"] == code
        await call(ingest, "POST", f"/{made['id']}/revoke")
        assert (await call(ingest, "PATCH", f"/{made['id']}", 409, times={"days_back": 3}))["code"] == "not_live"


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
