"""How is it served? One uvicorn server in this process, with limits that it lacks by default."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from shared.clock import Clock
from shared.failures import Refused
from shared.settings import Settings
from waymark.assembly import Assembly, assembled
from waymark.connection import Limits, within

_STOP = 10


@asynccontextmanager
async def served(
    settings: Settings, names: Sequence[str], clock: Clock
) -> AsyncIterator[tuple[Assembly, asyncio.Task[None]]]:
    """Services answering on the settings' host and port; the task ends when the server was told to stop."""
    listening = _bound(settings.host, settings.port)
    try:
        async with assembled(settings, names, clock) as assembly:
            server = uvicorn.Server(config(assembly.app))
            task = asyncio.create_task(server.serve(sockets=[listening]))
            while not server.started and not task.done():  # noqa: ASYNC110  uvicorn offers no event for it
                await asyncio.sleep(0.01)
            try:
                yield assembly, task
            finally:
                server.should_exit = True
                await task
    finally:
        listening.close()


def config(app: ASGIApp, limits: Limits | None = None) -> uvicorn.Config:
    """How uvicorn is set up. `ws` is off: another protocol would take the connection over, and its limits with it."""
    return uvicorn.Config(
        app,
        http=within(limits or Limits()),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_STOP,
        lifespan="off",
    )


def event_loop() -> asyncio.AbstractEventLoop:
    """The loop to run in: uvloop where uvicorn finds it."""
    return (uvicorn.Config("").get_loop_factory() or asyncio.new_event_loop)()


def first_free(host: str, port: int) -> int:
    """The port, or the next free one after it: for the demo, which nobody has given an address yet."""
    for candidate in range(port, port + 100):
        try:
            _bound(host, candidate).close()
        except Refused:
            continue
        return candidate
    raise Refused(f"no free port from {port} to {port + 99}: set WAYMARK_PORT")


def _bound(host: str, port: int) -> socket.socket:
    """Bind before anything else is started. Raises Refused where the port cannot be had."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise Refused(f"port {port} is taken: stop what uses it, or set WAYMARK_PORT to a free one") from None
        raise Refused(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listening
