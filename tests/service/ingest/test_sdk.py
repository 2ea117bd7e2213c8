"""An unmodified Segment SDK against the capture API, also when the first answer is lost."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from segment.analytics import Client
from starlette.applications import Starlette

from services.ingest.http import CaptureApi
from shared.bus.protocol import Bus, ProducerRecord
from shared.failures import Retry
from tests.make import NOON
from tests.service.ingest.make import RunningIngest
from tests.service.serving.make import listening

DAY_BEFORE = NOON - timedelta(days=1)


class Forgetful:
    """Takes every record to the log, and says the first time that it did not."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.asked = 0

    async def publish(self, topic: str, records: Sequence[ProducerRecord]) -> None:
        self.asked += 1
        await self.bus.publish(topic, records)
        if self.asked == 1:
            raise Retry("lost the answer", 1)


def speak(key: str, port: int, *, gzip: bool) -> list[object]:
    """Every call a product makes; the errors the SDK reports."""
    errors: list[object] = []
    client = Client(
        key, host=f"http://127.0.0.1:{port}", on_error=lambda error, _items: errors.append(error), gzip=gzip
    )
    client.group("ann", "acme", {"plan": "pro"}, message_id="group")
    client.identify("ann", {"email": "ann@acme.example"}, message_id="identify")
    client.track("ann", "Report Exported", {"rows": 7, "on": DAY_BEFORE}, message_id="track")
    client.page("ann", "docs", "Pricing", {"path": "/pricing"}, message_id="page")
    client.screen("ann", "app", "Home", message_id="screen")
    client.alias("anon", "ann", message_id="alias")
    client.track("anon", "Signed Up", message_id="before")
    client.shutdown()
    return errors


async def test_every_call_of_the_sdk_arrives(ingest: RunningIngest) -> None:
    app = Starlette(routes=CaptureApi(ingest.context.bus, ingest.context.keys, ingest.context.clock).routes())
    async with listening(app) as port:
        assert await asyncio.to_thread(speak, ingest.keys.write, port, gzip=False) == []
    found = {event.id: event for event in await ingest.published()}
    assert {name: (event.type, event.name) for name, event in found.items()} == {
        "group": ("group", ""),
        "identify": ("identify", ""),
        "track": ("track", "Report Exported"),
        "page": ("page", "Pricing"),
        "screen": ("screen", "Home"),
        "alias": ("alias", ""),
        "before": ("track", "Signed Up"),
    }
    assert {event.account for event in found.values()} == {"acme"}
    assert {event.user for event in found.values()} == {"ann", "anon"}
    assert bytes(found["identify"].properties) == b'{"email": "ann@acme.example"}'
    assert b'"rows": 7' in bytes(found["track"].properties)


async def test_a_lost_answer_is_absorbed(embedded_ingest: RunningIngest) -> None:
    bus = Forgetful(embedded_ingest.context.bus)
    app = Starlette(routes=CaptureApi(bus, embedded_ingest.context.keys, embedded_ingest.context.clock).routes())  # type: ignore[arg-type]
    async with listening(app) as port:
        assert await asyncio.to_thread(speak, embedded_ingest.keys.write, port, gzip=True) == []
    assert bus.asked >= 2
    assert sorted(event.id for event in await embedded_ingest.published()) == [
        "alias",
        "before",
        "group",
        "identify",
        "page",
        "screen",
        "track",
    ]


async def test_a_wrong_key_is_reported_at_once_and_not_retried(embedded_ingest: RunningIngest) -> None:
    app = Starlette(
        routes=CaptureApi(
            embedded_ingest.context.bus, embedded_ingest.context.keys, embedded_ingest.context.clock
        ).routes()
    )
    async with listening(app) as port, asyncio.timeout(20):
        errors = await asyncio.to_thread(speak, "a-key-nobody-knows", port, gzip=False)
    assert errors
    assert all("unknown_key" in str(error) for error in errors)
