"""One bad value loses nothing else: its neighbours are taken, and what cannot be read is listed and counts nowhere."""

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from shared.clock import SystemClock
from tests.adversary.product import Product, group, running, track
from tests.conftest import embedded

pytestmark = pytest.mark.asyncio(loop_scope="module")
GOOD = b'{"type":"track","event":"Feature Used","userId":"ann","messageId":"good-%b","context":{"groupId":"good-%b"}}'
BAD = b'{"type":"track","event":"Feature Used","userId":"ann","messageId":"bad-%b","context":{"groupId":"bad-%b"},"properties":%b}'
MENDED = {b"nan": b'{"amount":NaN,"most":-Infinity,"least":Infinity}', b"half": b'{"mood":"\\ud83d"}'}
PARKED = {
    b"deep": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b"torn": b'{"a":oops}',
    b"list": b"[1]",
    b"nul": b'{"a":"\\u0000"}',
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    async with running(embedded(tmp_path_factory.mktemp("values"))) as started:
        yield started


async def test_one_bad_event_costs_no_other_its_place(product: Product) -> None:
    names = {**MENDED, **PARKED}
    for name, properties in names.items():
        body = b'{"batch":[%b,%b]}' % (BAD % (name, name, properties), GOOD % (name, name))
        answer = await product.http.post("/v1/batch", content=body, auth=(product.keys["server"], ""))
        assert (answer.status_code, answer.json()["accepted"]) == (200, 2), name
    marked = b'\xef\xbb\xbf{"batch":[%b]}' % (GOOD % (b"bom", b"bom"))
    wide = (b'{"batch":[%b]}' % (GOOD % (b"wide", b"wide"))).decode().encode("utf-16")
    unread = b'{"batch":[%b],"sentAt":{}}' % (GOOD % (b"beside", b"beside"))
    around = b'{"integrations":oops,"writeKey":17,"context":%b,"batch":[%b]}' % (
        PARKED[b"deep"],
        GOOD % (b"around", b"around"),
    )
    for body in (marked, unread, around, wide):
        answer = await product.http.post("/v1/batch", content=body, auth=(product.keys["server"], ""))
        assert answer.status_code == 200
    await product.appears("good-wide")
    await product.settle()
    for name in (*names, b"bom", b"beside", b"around", b"wide"):
        assert await product.account(f"good-{name.decode()}") is not None, name
    taken = {name for name in names if await product.account(f"bad-{name.decode()}") is not None}
    assert taken == MENDED.keys()
    parked = (await product.get("/ingest/v1/parked"))["items"]
    assert len(parked) == len(PARKED)
    assert (await product.get("/lifecycle/v1/parked"))["items"] == []


async def test_what_is_said_of_a_batch_is_not_stored_with_each_event(product: Product) -> None:
    """One post of a megabyte with a public key wrote as much again for every event in it."""

    def stored() -> int:
        return sum(file.stat().st_size for file in product.data.glob("waymark.db*"))

    before, long = stored(), secrets.token_hex(500_000)  # nothing that a compressed log makes small
    events = [track("amplified", "ann", "Feature Used") for _ in range(50)]
    await product.accepted(events, "browser", sentAt=long)
    await product.appears("amplified")
    await product.settle()
    assert stored() - before < 10_000_000


async def told(product: Product, account: str, **traits: Any) -> dict[str, Any]:
    """What lifecycle makes of these traits of the account."""
    await product.accepted([track(account, "ann", "Feature Used"), group(account, "ann", **traits)])
    await product.appears(account)
    await product.settle()
    return dict((await product.account(account))["metrics"])


async def test_numbers_money_and_dates_are_read_from_what_tools_send(product: Product) -> None:
    renewal = int((SystemClock().now() + timedelta(days=100)).timestamp() * 1000)
    found = await told(product, "read", seats="25", mrr="1,299.00", renewal_at=renewal)
    assert (found["seats"], found["mrr"], found["days_to_renewal"]) == (25, 1299, 100)


async def test_what_cannot_be_read_is_counted_by_source_event_and_property(product: Product) -> None:
    wrong = {"seats": "many", "mrr": "1,299", "renewal_at": "01/06/2027"}
    found = await told(product, "unread", **wrong)
    assert [found.get(name) for name in ("seats", "mrr", "days_to_renewal")] == [None] * 3
    rows = (await product.get("/lifecycle/v1/unreadable"))["items"]
    counted = {
        row["property"]: row["count"] for row in rows if (row["source"], row["event"]) == ("server-source", "$group")
    }
    assert counted == dict.fromkeys(wrong, 1)
    metrics = (await product.call("GET", "/lifecycle/metrics")).text
    assert 'waymark_unreadable_values_total{event="$group",property="seats",source="server-source"} 1.0' in metrics


async def test_a_score_is_one_number_to_lifecycle_and_to_advocacy(product: Product) -> None:
    scores = {"text": "9", "above": 11, "below": -1, "half": 8.5, "words": "nine"}
    for name, score in scores.items():
        await product.accepted([track(f"nps-{name}", f"u-{name}", "nps_answered", score=score)])
        await product.appears(f"nps-{name}")
    await product.settle()
    found = {name: (await product.account(f"nps-{name}"))["metrics"].get("nps") for name in scores}
    assert found == {**dict.fromkeys(scores), "text": 9}
    answers = (await product.get("/advocacy/v1/surveys/nps/answers"))["items"]
    assert [(answer["account"], answer["score"]) for answer in answers] == [("nps-text", 9)]
