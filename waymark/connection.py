"""How long may a client take to ask and to hear the answer, and how much may it say before it has asked?

uvicorn waits for ever for the end of a request's head, keeps any number of header bytes, and writes for ever to a client
that does not read.
"""

import asyncio
from typing import Any, ClassVar, NamedTuple

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from shared.http.problem import problem

_HEALTH = ("/livez", "/readyz", "/metrics")
_FRAMING = 8
"""Bytes of chunk framing that a byte of body may cost: what is beyond is a trailer, or somebody who plays."""
_AROUND = len(": \r\n")


class Limits(NamedTuple):
    """Seconds and sizes. Between `most` connections and `most + spare` a client is told to retry later; beyond, cut."""

    head: float = 10.0
    head_bytes: int = 64 * 1024
    linger: float = 5.0
    stalled: float = 60.0
    most: int = 512
    spare: int = 128


class Connection(HttpToolsProtocol):
    """One client's connection."""

    limits: ClassVar[Limits] = Limits()

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._asking: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._silent = True
        self._deaf = False
        self._in_head = self._in_body = False
        self._extra = self._turned_away = False
        self._messages = self._raw = self._parsed = self._body = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        crowd = len(self.connections)
        self._extra = crowd > self.limits.most
        if crowd > self.limits.most + self.limits.spare:
            transport.abort()
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._asking, self._leaving, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._silent = False
        if not self._in_body:
            self._expect_head()
        fresh = not (self._in_head or self._in_body)
        message, body = self._messages, self._body
        super().data_received(data)
        begun = self._messages - message
        if begun == fresh:  # else where one message ends and the next begins in these bytes is not known
            self._raw += len(data) - self._body + (0 if begun else body)
        if max(self._raw, self._parsed) > self.limits.head_bytes + _FRAMING * self._body:
            self._too_much()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._messages += 1
        self._raw = self._parsed = self._body = 0
        self._in_head = True
        self._expect_head()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._parsed += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._parsed += len(name) + len(value) + _AROUND

    def on_headers_complete(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
        self._in_head = False
        if self._parsed > self.limits.head_bytes:
            self._too_much()
        if not self._deaf:
            self._in_body = True
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._deaf:
            self._body += len(body)
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._deaf:
            self._in_body = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request answered before its body has come may send on for a moment: cut off, it would miss the answer."""
        super().on_response_complete()
        if self._in_body:
            self._leave(self.limits.linger)
        elif self._turned_away:
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.stalled, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def send_400_response(self, msg: str) -> None:
        self._refuse(problem(400, "bad_request", f"this is not HTTP: {msg}"))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        crowded = self._extra or len(self.tasks) >= self.limits.most
        self._turned_away = crowded and not cycle.scope["path"].endswith(_HEALTH)
        super()._start_asgi_task(cycle, overloaded if self._turned_away else app)

    def _expect_head(self) -> None:
        if self._asking is None:
            self._asking = self.loop.call_later(self.limits.head, self._not_asked)

    def _not_asked(self) -> None:
        self._asking = None
        if self._answering():
            self._expect_head()
        elif self._silent:
            self.transport.close()
        else:
            self._refuse(problem(408, "slow_head", f"the request's head took over {self.limits.head:g} seconds"))

    def _too_much(self) -> None:
        detail = f"the request's head is over {self.limits.head_bytes} bytes"
        self._refuse(problem(431, "head_too_large", detail))

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, answer: Response) -> None:
        """Say so outside of any request, hear nothing more, and hang up when the client had time to read it."""
        if self._deaf or self.transport.is_closing():
            return
        self._deaf = True
        if self._answering():
            self.transport.close()
            return
        headers = [*self.server_state.default_headers, *answer.raw_headers, (b"connection", b"close")]
        head = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[answer.status_code] + head + b"\r\n" + bytes(answer.body))
        self.transport.write_eof()
        self._leave(self.limits.linger)

    def _leave(self, seconds: float) -> None:
        if self._leaving is None:
            self._leaving = self.loop.call_later(seconds, self.transport.close)


def within(limits: Limits) -> type[Connection]:
    """The protocol with these limits: uvicorn makes one a connection, and can hand it none."""
    return type("Connection", (Connection,), {"limits": limits})


overloaded: Any = problem(503, "overloaded", "too many requests at once; retry later", {"Retry-After": "2"})
