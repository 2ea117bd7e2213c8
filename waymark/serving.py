"""Server: one uvicorn server in this process, with the limits of `waymark/connection.py` and our own shutdown."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.clock import Clock
from shared.failures import Refused
from shared.http.problem import problem
from shared.settings import Settings
from shared.shutdown import WORK, Shutdown
from waymark.assembly import Assembly, assembled
from waymark.connection import Limits, protocol_with

_STOP = 6
"""Seconds for the requests in hand when the process stops; then they are told to retry later."""


class _Server(uvicorn.Server):
    """Leaves the signals to us: its own way with them would end the process before the loops and the log have ended."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(
    settings: Settings, names: Sequence[str], clock: Clock
) -> AsyncIterator[tuple[Assembly, asyncio.Task[None]]]:
    """Services answering on the settings' host and port; the task ends when the server was told to stop.

    When the block ends requests and loops come to rest side by side, then the rest is closed, all within one budget.
    """
    shutdown = Shutdown()
    listening = _bound(settings.host, settings.port)
    try:
        async with assembled(settings, names, clock, shutdown) as assembly:
            server = _Server(config(assembly.app, trusted_proxies=settings.trusted_proxies))
            task = asyncio.create_task(server.serve(sockets=[listening]))
            while not server.started and not task.done():  # noqa: ASYNC110  uvicorn offers no event for it
                await asyncio.sleep(0.01)
            try:
                yield assembly, task
            finally:
                shutdown.begin()
                server.should_exit = True
                requests = shutdown.step("requests", _drained(server, task), WORK)
                await asyncio.gather(requests, assembly.supervisor.stop())
    finally:
        listening.close()


async def _drained(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    """Uvicorn cancels what is late, but does not wait for it."""
    await serving
    if server.server_state.tasks:
        await asyncio.wait(server.server_state.tasks)


def config(app: ASGIApp, limits: Limits | None = None, trusted_proxies: str = "") -> uvicorn.Config:
    """How uvicorn is set up. `trusted_proxies` may say where a visitor came from. `ws` is off: another protocol would take the connection over, and its limits with it."""
    return uvicorn.Config(
        _answer_when_stopping(app),
        http=protocol_with(limits or Limits()),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_STOP,
        lifespan="off",
    )


def _answer_when_stopping(app: ASGIApp) -> ASGIApp:
    """A request cut off by the end of the process is told to retry later: uvicorn would call that an error of ours."""

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noticed(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await app(scope, receive, noticed)
        except asyncio.CancelledError:
            if begun:
                raise
            await _stopping(scope, receive, send)

    return answered


_stopping = problem(
    503, "stopping", "this process is stopping; retry later", {"Retry-After": "2", "Connection": "close"}
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
