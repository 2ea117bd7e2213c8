"""Server of the row `intake-ours`: the product's own routes and Kafka producer, in one worker that does nothing besides."""

import asyncio
import gc
import sys

import uvicorn
from starlette.applications import Starlette

from services.ingest.http import CaptureApi
from shared.bus.kafka import KafkaBus
from shared.clock import SystemClock
from shared.contracts.topics import USAGE_RAW
from shared.keys import load_keys
from shared.settings import Settings
from waymark.serving import event_loop


async def main() -> None:
    """Serve until told to stop; settings come from the environment, as in the service."""
    settings = Settings()
    bus = KafkaBus(str(settings.bus_url).removeprefix("kafka://"), settings.topic_prefix)
    await bus.open([USAGE_RAW.name], settings.partitions)
    keys, _ = load_keys(settings)
    app = Starlette(routes=CaptureApi(bus, keys, SystemClock()).routes())
    config = uvicorn.Config(
        app, port=settings.port, log_level="warning", access_log=False, server_header=False, lifespan="off"
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # as the product does once it has started (waymark/commands.py)
    await uvicorn.Server(config).serve()
    await bus.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=event_loop) as runner:
        sys.exit(runner.run(main()))
