"""REST resources of every service: unknown query parameters are refused, and any id stands in a path."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from tests.conftest import embedded
from tests.journey.services import RunningServices, run_services
from tests.make import NOON, FakeClock, eventually
from waymark.assembly import WIRES

ROOT = Path(__file__).parents[3]
HOSTILE = ["acme/history", "two\nlines", "100%", "%2F", "a?b#c", "..", "naïve ☃", "a b+c", "history"]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServices]:
    """One product for all of these: each asks about accounts that any of them may have used."""
    async with run_services(embedded(tmp_path_factory.mktemp("data")), list(WIRES), FakeClock(NOON)) as running:
        yield running


async def use(on: RunningServices, *accounts: str) -> None:
    """One event of each account."""
    batch = [
        {
            "type": "track",
            "event": "Feature Used",
            "userId": "ann",
            "messageId": f"of-{name}",
            "timestamp": NOON.isoformat(),
            "context": {"groupId": name},
            "properties": {"feature": "reports"},
        }
        for name in accounts
    ]
    assert (await on.http.post("/v1/batch", json={"batch": batch}, auth=(on.write_key, ""))).status_code == 200
    await on.wait_until_idle()


async def resources(on: RunningServices) -> AsyncIterator[tuple[str, str, set[str]]]:
    """Method, path and query parameters of every JSON resource, as the running services describe them."""
    for service in sorted(WIRES.keys() - {"console"}):
        for path, methods in (await on.get(f"/{service}/openapi.json"))["paths"].items():
            for method, told in methods.items():
                if not {"health", "unsubscribe"} & {*told.get("tags", [])}:
                    known = {one["name"] for one in told.get("parameters", []) if one["in"] == "query"}
                    yield method.upper(), f"/{service}{re.sub('{[^}]+}', 'x', path)}", known


async def test_every_resource_refuses_a_query_parameter_that_it_does_not_have_and_names_those_it_has(
    on: RunningServices,
) -> None:
    seen = [one async for one in resources(on)]
    assert len({path.split("/")[1] for _, path, _ in seen}) == 4
    for method, path, known in seen:
        answer = await on.http.request(method, f"{path}?planted=1")
        told = answer.json()
        assert (answer.status_code, told["code"]) == (422, "unknown_parameter"), (method, path, told)
        assert "'planted'" in told["detail"]
        assert all(name in told["detail"] for name in known), told


@pytest.mark.parametrize(
    "asked", ["/lifecycle/v1/accounts?search=x", "/notify/v1/outbox?newest=1", "/lifecycle/v1/funnel?since=2026-01-01"]
)
async def test_a_search_that_does_not_exist_is_no_list_of_everything(on: RunningServices, asked: str) -> None:
    assert (await on.http.get(asked)).status_code == 422


async def test_probes_and_hosted_pages_take_what_others_append(on: RunningServices) -> None:
    for path in ("/lifecycle/livez", "/lifecycle/readyz", "/lifecycle/metrics"):
        assert (await on.http.get(f"{path}?from=balancer")).status_code == 200
    assert (await on.http.get("/advocacy/c/nobody?utm_source=mail")).status_code == 404
    assert (await on.http.post("/notify/u/nobody?utm_source=mail")).status_code == 404
    assert (await on.http.get("/console/sign-in?utm_source=mail")).status_code == 200


async def test_an_address_that_is_nobodys_says_where_things_are(on: RunningServices) -> None:
    for path in ("/metrics", "/healthz", "/batch/", "/ingest"):
        told = (await on.http.get(path)).json()
        assert (told["status"], told["code"]) == (404, "not_found"), path
        assert told["message"] == told["detail"]
        assert "POST /v1/batch" in told["detail"]
        assert "/lifecycle/" in told["detail"]
    assert "/lifecycle/docs" in (await on.http.get("/lifecycle/v1/acounts")).json()["detail"]
    refused = (await on.http.post("/notify/v1/mode")).json()
    assert (refused["status"], refused["code"]) == (405, "method_not_allowed")
    assert "POST is not for /notify/v1/mode; it takes " in refused["detail"]


async def test_json_sent_as_a_form_is_told_which_header_it_lacks(on: RunningServices) -> None:
    """As curl sends it without -H."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await on.http.put("/notify/v1/mode", content=b'{"mode": "preview"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert "Content-Type: application/json" in answer.json()["detail"]


async def test_one_address_says_whether_every_service_of_the_process_is_ready(on: RunningServices) -> None:
    answer = await on.http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert {name: one["status"] for name, one in answer.json()["services"].items()} == dict.fromkeys(WIRES, "ready")


async def test_no_sub_resource_shadows_an_id(on: RunningServices) -> None:
    await use(on, "acme", "acme/history")
    account = await on.get("/lifecycle/v1/accounts/acme%2Fhistory")
    assert account["id"] == "acme/history"
    history = await on.get("/lifecycle/v1/accounts/acme/history")
    assert {one["account"] for one in history["items"]} == {"acme"}
    of_the_other = await on.get("/lifecycle/v1/accounts/acme%2fhistory/history")
    assert {one["account"] for one in of_the_other["items"]} == {"acme/history"}


async def test_every_id_has_a_resource_and_its_sub_resources(on: RunningServices) -> None:
    await use(on, *HOSTILE)
    for name in HOSTILE:
        there = f"/lifecycle/v1/accounts/{quote(name, safe='').replace('..', '%2E%2E')}"
        assert (await on.get(there))["id"] == name
        assert (await on.get(f"{there}/history"))["items"][0]["account"] == name


@pytest.mark.parametrize("nobody", ["nobody", "nobody%2Fhistory", "nobody%0Alines"])
async def test_a_sub_resource_of_an_unknown_account_is_not_found(on: RunningServices, nobody: str) -> None:
    await use(on, "acme")
    answer = await on.http.get(f"/lifecycle/v1/accounts/{nobody}/history")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_account")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/notify/v1/outbox/a%2Fb", "no_delivery"),
        ("/notify/v1/outbox/two%0Alines", "no_delivery"),
        ("/advocacy/v1/surveys/a%2Fanswers/answers", "no_survey"),
        ("/advocacy/v1/surveys/two%0Alines/answers", "no_survey"),
    ],
)
async def test_an_unknown_id_is_said_to_be_unknown_whatever_is_in_it(on: RunningServices, path: str, code: str) -> None:
    answer = await on.http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, code)


async def test_every_route_decodes_its_ids_in_the_same_way() -> None:
    """`{name}` alone would hand the encoded id on."""
    declared = re.compile(r"""(?:get|post|put|patch|delete)\(\s*"(/[^"]*)"|\("(?:GET|POST)", "(/[^"]*)\"""")
    typed = {"{reward}", "{move}"}  # a UUID and a literal: nothing in them is encoded
    found = 0
    for file in (ROOT / "services").rglob("*.py"):
        for path in declared.findall(file.read_text("utf8")):
            names = set(re.findall(r"{[^}]+}", "".join(path)))
            found += len(names)
            assert all(name.endswith((":id}", ":plain}")) for name in names - typed), (file, names)
    assert found > 10


async def test_what_only_grows_is_a_counter_named_total_and_what_moves_is_a_gauge(on: RunningServices) -> None:
    await use(on, "acme")
    kinds: dict[str, str] = {}
    for service in sorted(WIRES.keys()):
        lines = (await on.http.get(f"/{service}/metrics")).text.splitlines()
        kinds |= dict(line.split()[2:4] for line in lines if line.startswith("# TYPE "))
        assert not [line for line in lines if line.startswith("waymark_handled{")]
    assert {name: kind for name, kind in kinds.items() if name.endswith("_total") or kind == "counter"} == {
        "waymark_expired_rows_total": "counter",
        "waymark_handled_total": "counter",
        "waymark_rate_limited_total": "counter",
        "waymark_times_corrected_total": "counter",
        "waymark_unmatched_events_total": "counter",
        "waymark_unreadable_values_total": "counter",
        "waymark_untrusted_claims_total": "counter",
    }
    assert kinds["waymark_lag"] == kinds["waymark_loop_running"] == "gauge"


async def test_the_metrics_show_lag_and_parked_records_without_anybody_asking_for_readiness(
    on: RunningServices,
) -> None:
    await use(on, "acme")
    nobody = {"type": "track", "event": "Feature Used", "messageId": "of-nobody", "userId": "stranger"}
    assert (await on.http.post("/v1/batch", json={"batch": [nobody]}, auth=(on.write_key, ""))).status_code == 200

    async def parked() -> bool:
        return bool((await on.get("/ingest/v1/parked"))["items"])

    await eventually(parked)
    [record] = (await on.get("/ingest/v1/parked"))["items"]

    async def told() -> bool:  # what was counted a moment ago is shown for a while
        lines = (await on.http.get("/ingest/metrics")).text.splitlines()
        assert [line for line in lines if line.startswith("waymark_lag{")]
        return f'waymark_parked{{group="ingest",reason="{record["reason"]}"}} 1.0' in lines

    await eventually(told)
    assert not [line for line in (await on.http.get("/notify/metrics")).text.splitlines() if "waymark_parked{" in line]
