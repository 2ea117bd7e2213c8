"""The textbook: FastAPI, pydantic for the body, `send_and_wait` for each event, acks=all. One worker."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import uvicorn
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI
from pydantic import BaseModel

JOB = json.loads(os.environ["BENCH_JOB"])
made: dict[str, AIOKafkaProducer] = {}


class Context(BaseModel):
    """Whose event it is."""

    groupId: str  # noqa: N815  Segment's spelling


class Event(BaseModel):
    """One event in the Segment shape."""

    type: str
    event: str
    messageId: str  # noqa: N815  Segment's spelling
    timestamp: datetime
    userId: str  # noqa: N815  Segment's spelling
    context: Context
    properties: dict[str, Any]


class Batch(BaseModel):
    """What is posted."""

    batch: list[Event]


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    made["kafka"] = AIOKafkaProducer(
        bootstrap_servers=JOB["bootstrap"], acks="all", enable_idempotence=True, compression_type="lz4"
    )
    await made["kafka"].start()
    yield
    await made["kafka"].stop()


app = FastAPI(lifespan=_lifespan)


@app.post("/v1/batch")
async def take(body: Batch) -> dict[str, Any]:
    """200 when Kafka has every event."""
    for event in body.batch:
        value = event.model_dump_json().encode()
        await made["kafka"].send_and_wait(JOB["topic"], value, key=event.context.groupId.encode())
    return {"success": True, "accepted": len(body.batch)}


@app.get("/livez")
async def livez() -> dict[str, str]:
    """It answers."""
    return {"status": "alive"}


if __name__ == "__main__":
    uvicorn.run(app, port=JOB["port"], log_level="warning", access_log=False)
