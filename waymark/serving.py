"""Server: one uvicorn server in this process, with limits on each connection and on their number, and our own shutdown.

uvicorn waits without end for a request's head, keeps any number of header bytes, and writes without end to a client that
does not read. `Connection` overrides methods that uvicorn does not promise to keep: hence its exact version in
pyproject.toml, and `UVICORN` here. To raise it, compare the methods in `tests/service/serving/test_uvicorn.py`.
"""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar, NamedTuple

import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from shared.clock import Clock
from shared.failures import Refused
from shared.http.problem import problem
from shared.settings import Settings
from shared.shutdown import WORK, Shutdown
from waymark.assembly import Assembly, assembled

UVICORN = "0.54.0"
"""The version whose methods are overridden here."""
_HEALTH = ("/livez", "/readyz", "/metrics")
_FRAMING = 8
"""Bytes of chunk framing that a byte of body may cost: more than that is a trailer, or an attack."""
_AROUND = len(": \r\n")
_STOP = 6
"""Seconds for the requests in hand when the process stops; then they are told to retry later."""


class Limits(NamedTuple):
    """Seconds and sizes. Beyond `connections` a client is told to retry later; beyond the spare ones too it is cut off."""

    head_seconds: float = 10.0
    head_bytes: int = 64 * 1024
    close_seconds: float = 5.0
    write_seconds: float = 60.0
    connections: int = 512
    spare_connections: int = 128


class Connection(HttpToolsProtocol):
    """One client's connection: uvicorn's HTTP protocol, with limits on the time and size of a request's head, and on writing."""

    limits: ClassVar[Limits] = Limits()

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._head_timer: asyncio.TimerHandle | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._idle = True
        self._refused = False
        self._in_head = self._in_body = False
        self._over_limit = self._overloaded = False
        self._messages = self._raw = self._parsed = self._body = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        count = len(self.connections)
        self._over_limit = count > self.limits.connections
        if count > self.limits.connections + self.limits.spare_connections:
            transport.abort()
        else:
            self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_timer, self._close_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._idle = False
        if not self._in_body:
            self._start_head_timer()
        fresh = not (self._in_head or self._in_body)
        message, body = self._messages, self._body
        super().data_received(data)
        begun = self._messages - message
        if begun == fresh:  # else where one message ends and the next begins in these bytes is not known
            self._raw += len(data) - self._body + (0 if begun else body)
        if max(self._raw, self._parsed) > self.limits.head_bytes + _FRAMING * self._body:
            self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._messages += 1
        self._raw = self._parsed = self._body = 0
        self._in_head = True
        self._start_head_timer()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._parsed += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._parsed += len(name) + len(value) + _AROUND

    def on_headers_complete(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self._in_head = False
        if self._parsed > self.limits.head_bytes:
            self._refuse_head()
        if not self._refused:
            self._in_body = True
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            self._body += len(body)
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._refused:
            self._in_body = False
            if self._close_timer is not None:  # the client has heard the answer, and may ask again
                self._close_timer.cancel()
                self._close_timer = None
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request answered before its body has come may send on for a moment: cut off, it would miss the answer."""
        super().on_response_complete()
        if self._in_body:
            self._close_after(self.limits.close_seconds)
        elif self._overloaded:
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def send_400_response(self, msg: str) -> None:
        self._refuse(problem(400, "bad_request", f"this is not HTTP: {msg}"))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        overload = self._over_limit or len(self.tasks) >= self.limits.connections
        self._overloaded = overload and not cycle.scope["path"].endswith(_HEALTH)
        super()._start_asgi_task(cycle, overloaded if self._overloaded else app)

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.limits.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._answer_is_open():
            self._start_head_timer()
        elif self._idle:
            self.transport.close()
        else:
            self._refuse(
                problem(408, "slow_head", f"the request's head took over {self.limits.head_seconds:g} seconds")
            )

    def _refuse_head(self) -> None:
        detail = f"the request's head is over {self.limits.head_bytes} bytes"
        self._refuse(problem(431, "head_too_large", detail))

    def _answer_is_open(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, answer: Response) -> None:
        """Say so outside of any request, hear nothing more, and hang up when the client had time to read it."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        if self._answer_is_open():
            self.transport.close()
            return
        headers = [*self.server_state.default_headers, *answer.raw_headers, (b"connection", b"close")]
        head = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[answer.status_code] + head + b"\r\n" + bytes(answer.body))
        self.transport.write_eof()
        self._close_after(self.limits.close_seconds)

    def _close_after(self, seconds: float) -> None:
        if self._close_timer is None:
            self._close_timer = self.loop.call_later(seconds, self.transport.close)


def protocol_with(limits: Limits) -> type[Connection]:
    """The protocol with these limits: uvicorn makes one a connection, and can hand it none."""
    return type("Connection", (Connection,), {"limits": limits})


overloaded: Any = problem(503, "overloaded", "too many requests at once; retry later", {"Retry-After": "2"})


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
