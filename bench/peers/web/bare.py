"""The limit of HTTP: a Starlette route that reads the body and answers. Nothing is decoded, nothing sent."""

import json
import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

JOB = json.loads(os.environ["BENCH_JOB"])


async def take(request: Request) -> Response:
    """Read it and forget it."""
    await request.body()
    return JSONResponse({"success": True, "accepted": 0})


async def livez(_: Request) -> Response:
    """It answers."""
    return JSONResponse({"status": "alive"})


app = Starlette(routes=[Route("/v1/batch", take, methods=["POST"]), Route("/livez", livez)])

if __name__ == "__main__":
    uvicorn.run(app, port=JOB["port"], log_level="warning", access_log=False)
