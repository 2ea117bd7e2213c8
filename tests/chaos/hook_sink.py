"""What does the webhook's receiver do? It writes down what it took before it answers, and misbehaves when it is told to."""

import asyncio
import socket
import struct
import time

from tests.chaos import moods
from tests.chaos.journal import Journal
from tests.chaos.moods import Moods

_TOO_LONG = 12.0
_ANSWER = b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_ANSWERS = {"": b"204 No Content", moods.FAILS: b"500 Broken", moods.LATE: b"204 No Content"}


class HookSink:
    """One HTTP endpoint; each connection carries one request."""

    def __init__(self, journal: Journal, moods_: Moods) -> None:
        self._journal = journal
        self._moods = moods_

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        headers = dict(line.partition(b": ")[::2] for line in head.lower().split(b"\r\n")[1:])
        await asyncio.wait_for(reader.readexactly(int(headers.get(b"content-length", b"0"))), 30)
        mood = self._moods.next("webhook")
        if mood != moods.FAILS:
            now = time.time()
            self._journal.add({"at": now, "delivery": headers[b"webhook-id"].decode()})
        if mood == moods.RESET:
            whole = writer.get_extra_info("socket")
            whole.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return
        if mood in {moods.LATE, moods.SILENT}:
            await asyncio.sleep(_TOO_LONG)
        if mood in _ANSWERS:
            writer.write(_ANSWER % _ANSWERS[mood])
            await writer.drain()
