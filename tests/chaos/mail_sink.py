"""What does the mail server do? It writes down what it accepts before it answers, and misbehaves when it is told to."""

import asyncio
import re
import time
from email import message_from_bytes
from email.policy import default

from tests.chaos import moods
from tests.chaos.journal import Journal
from tests.chaos.moods import Moods

_PATIENCE = 6.0
_SLOW = 0.4
_LINK = re.compile(r"https?://[^\s>\"]+/advocacy/[^\s>\"]+")


class MailSink:
    """One SMTP server, as much of it as a client needs."""

    def __init__(self, journal: Journal, moods_: Moods) -> None:
        self._journal = journal
        self._moods = moods_

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One conversation."""
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mood = ""
        writer.write(b"220 chaos\r\n")
        while line := (await asyncio.wait_for(reader.readline(), 60)).strip().upper():
            if line == b"QUIT":
                writer.write(b"221 bye\r\n")
                return
            if line.startswith(b"MAIL"):
                mood = self._moods.next("email")
            if mood == moods.SLOW:
                await asyncio.sleep(_SLOW)
            if line == b"DATA":
                writer.write(b"354 go on\r\n")
                if not await self._content(reader, writer, mood):
                    return
            elif line.startswith(b"RCPT") and mood == moods.LATER:
                writer.write(b"450 not now\r\n")
            else:
                writer.write(b"250 fine\r\n")
            await writer.drain()

    async def _content(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mood: str) -> bool:
        """Take the mail; False when the conversation ends without an answer."""
        content = await asyncio.wait_for(reader.readuntil(b"\r\n.\r\n"), 30)
        if mood == moods.NEVER:
            writer.write(b"554 never\r\n")
            return True
        self._journal.add(_entry(content))
        if mood == moods.HANGS:
            await asyncio.sleep(_PATIENCE)
        if mood in {moods.HANGS, moods.DROPS}:
            writer.transport.abort()
            return False
        writer.write(b"250 taken\r\n")
        return True


def _entry(content: bytes) -> dict[str, object]:
    mail = message_from_bytes(content, policy=default)
    part = mail.get_body(("plain",))
    text = part.get_content() if part else ""
    return {
        "at": time.time(),
        "delivery": str(mail["Message-ID"]).strip("<>").partition("@")[0],
        "way_out": str(mail.get("List-Unsubscribe", "")).strip("<>"),
        "links": _LINK.findall(text),
    }
