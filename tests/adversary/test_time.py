"""Work that a sender chooses: dates of 1970 and 2199 cost no honest account its turn, and no account gets an age from them."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.clock import SystemClock
from tests.adversary.product import Product, running, track
from tests.conftest import BOTH, Deployment

pytestmark = pytest.mark.asyncio(loop_scope="module")
_ACCOUNTS = 300
_HONEST = "acme"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(place: Deployment) -> AsyncIterator[Product]:
    async with running(place.settings) as started:
        yield started


async def _wild(product: Product, kind: str, **envelope: Any) -> None:
    """One post: an event of 1970 and one of 2199 of each of so many new accounts."""
    years = ("1970-01-01T00:00:07Z", "2199-01-01T00:00:00Z")
    events = [track(f"w{number}", "u", "Feature Used", at=at) for number in range(_ACCOUNTS) for at in years]
    await product.accepted(events, kind, **envelope)


async def test_two_dates_of_many_accounts_hold_nobody_up(product: Product) -> None:
    await _wild(product, "server", history="h1")
    await _wild(product, "browser", history="h2")
    await product.accepted([track(_HONEST, "ann", "Feature Used")], "browser")
    await product.appears(_HONEST)
    await product.settle()
    honest = await product.account(_HONEST)
    assert honest["metrics"]["tenure_days"] == 0
    for number in range(_ACCOUNTS):
        account = await product.account(f"w{number}")
        assert account["clock"] <= honest["clock"], "left behind in the future"


async def _corrected(product: Product) -> int:
    rows = (await product.get("/ingest/v1/corrected-times"))["items"]
    assert all(row["claimed_at"] != row["received_at"] for row in rows), "the time as it was told is kept"
    return sum(row["count"] for row in rows)


async def test_a_device_without_a_clock_has_no_age(product: Product) -> None:
    before = await _corrected(product)
    await product.accepted([track(_HONEST, "ann", "Feature Used")])
    times = (0, -1, "1970-01-01T00:00:07Z", "2199-01-01T00:00:00Z", "0001-01-01T00:00:00", "")
    await product.accepted([track(_HONEST, "ann", "Feature Used", at=at) for at in times])
    await product.accepted([track(f"d{n}", "u", "Feature Used", at=0) for n in range(8)])
    await product.appears("d7")
    await product.settle()
    for account_id in (_HONEST, "d0", "d7"):
        account = await product.account(account_id)
        assert (account["stage"], account["metrics"]["tenure_days"], account["flags"]) == ("onboarding", 0, [])
    assert (await product.get("/ingest/v1/parked", reason="bad_time"))["items"] == []
    assert await _corrected(product) - before == len(times) + 8


async def test_an_import_goes_as_far_back_as_it_says_and_never_ahead(product: Product) -> None:
    now = SystemClock().now()
    years = [(now - timedelta(days=700)).isoformat(), "2199-01-01T00:00:00Z"]
    await product.accepted([track("imported", "u", "Feature Used", at=at) for at in years], "import", history="h3")
    await product.appears("imported")
    await product.settle()
    account = await product.account("imported")
    assert account["metrics"]["tenure_days"] == 700
    assert datetime.fromisoformat(account["clock"]) < now + timedelta(minutes=10)


@pytest.mark.parametrize("place", [BOTH[1]], indirect=True)
async def test_a_record_of_kafka_without_a_time_has_no_age(product: Product) -> None:
    """A product's own producer writes to a topic of its own making, with no meta and its own idea of the time."""
    servers = str(product.settings.bus_url).removeprefix("kafka://")
    topic, times = f"{product.settings.topic_prefix}usage.raw.v1", (0, -1, 7_000, 4_102_444_800_000)
    admin, producer = AIOKafkaAdminClient(bootstrap_servers=servers), AIOKafkaProducer(bootstrap_servers=servers)
    await admin.start()
    await producer.start()
    try:
        by_sender = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": str(2**62)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=by_sender)])
        for milliseconds in times:
            account = f"k{milliseconds}"
            value = json.dumps(track(account, "u", "Feature Used")).encode()
            await producer.send_and_wait(topic, value, account.encode(), timestamp_ms=milliseconds)
    finally:
        await producer.stop()
        await admin.close()
    for milliseconds in times:
        account = await product.appears(f"k{milliseconds}")
        assert (account["stage"], account["metrics"]["tenure_days"], account["flags"]) == ("onboarding", 0, [])
    await product.accepted([track(_HONEST, "ann", "Feature Used")])
    await product.settle()
    assert (await product.account("k4102444800000"))["clock"] <= (await product.account(_HONEST))["clock"]
