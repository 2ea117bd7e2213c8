"""Real servers on loopback ports that record what reaches them: one for mail, one for webhooks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP


class Mailbox:
    """What an SMTP server accepted, and the answers it gives on the way."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.to_rcpt = ""
        self.at_rcpt: Callable[[str], Awaitable[None]] | None = None
        self.to_data = "250 OK"
        self.hang_up = False
        self.steps: list[str] = []

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if self.at_rcpt is not None:
            await self.at_rcpt(address)
        if self.to_rcpt:
            return self.to_rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.steps.append("data")
        if self.hang_up:
            server.transport.close()
            return self.to_data
        if self.to_data.startswith("250"):
            self.raw.append(envelope.original_content)
            self.mails.append(message_from_bytes(envelope.original_content, policy=default))  # type: ignore[arg-type]
            self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        return self.to_data


@asynccontextmanager
async def mail_server(mailbox: Mailbox, port: int = 0) -> AsyncIterator[int]:
    """The port of a server that fills this mailbox."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mailbox, hostname="mx.test"), "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """The port of a server that takes every connection and never says anything."""
    taken: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _reader, writer: taken.append(writer), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in taken:
            writer.transport.abort()


Requests = list[tuple[str, dict[str, str], bytes]]
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def web_server(answer: bytes | Answer, seen: Requests) -> AsyncIterator[int]:
    """The port of a server that records requests and gives this answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in lines)}
        seen.append((line, headers, await reader.readexactly(int(headers.get("content-length", 0)))))
        try:
            await (_plain(answer, writer) if isinstance(answer, bytes) else answer(writer))
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _plain(answer: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(answer)
    await writer.drain()
