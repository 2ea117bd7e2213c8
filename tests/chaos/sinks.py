"""Sinks: the mail server and the webhook receiver, in a process of their own that no fault of the product can reach.

Each writes down what it accepts before it answers, and misbehaves when the run orders it: a line on the standard input
orders the misbehaviour of the next message, a line on the standard output says that it is known, or which one a message met.
"""

import asyncio
import re
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Literal

from deploy.servers.ports import HOST, free_port
from tests.chaos.journal import Journal
from tests.chaos.process_pool import child_command, exit_with_parent

Channel = Literal["email", "webhook"]

HANGS, DROPS, LATER, NEVER, SLOW = "mail hangs", "mail dropped", "mail 4yz", "mail 5yz", "mail slow"
FAILS, LATE, SILENT, RESET = "webhook 500", "webhook late", "webhook silent", "webhook reset"
MISBEHAVIOURS: dict[str, Channel] = {
    HANGS: "email",
    DROPS: "email",
    LATER: "email",
    NEVER: "email",
    SLOW: "email",
    FAILS: "webhook",
    LATE: "webhook",
    SILENT: "webhook",
    RESET: "webhook",
}
"""Each misbehaviour, and whose it is."""
_MOST_WAITING = 20


class Misbehaviours:
    """Misbehaviours that wait for a message. `used` hears of each that struck."""

    def __init__(self, used: Callable[[str], None]) -> None:
        self._waiting: dict[Channel, deque[str]] = {
            "email": deque(maxlen=_MOST_WAITING),
            "webhook": deque(maxlen=_MOST_WAITING),
        }
        self._used = used

    def order(self, misbehaviour: str) -> None:
        self._waiting[MISBEHAVIOURS[misbehaviour]].append(misbehaviour)

    def forget(self) -> None:
        for waiting in self._waiting.values():
            waiting.clear()

    def next(self, channel: Channel) -> str:
        """The misbehaviour for this message; empty for a good one."""
        waiting = self._waiting[channel]
        if not waiting:
            return ""
        misbehaviour = waiting.popleft()
        self._used(misbehaviour)
        return misbehaviour


_PATIENCE = 6.0
_SLOW = 0.4
_LINK = re.compile(r"https?://[^\s>\"]+/advocacy/[^\s>\"]+")


class MailSink:
    """One SMTP server, as much of it as a client needs."""

    def __init__(self, journal: Journal, misbehaviours: Misbehaviours) -> None:
        self._journal = journal
        self._misbehaviours = misbehaviours

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One conversation."""
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        misbehaviour = ""
        writer.write(b"220 chaos\r\n")
        while line := (await asyncio.wait_for(reader.readline(), 60)).strip().upper():
            if line == b"QUIT":
                writer.write(b"221 bye\r\n")
                return
            if line.startswith(b"MAIL"):
                misbehaviour = self._misbehaviours.next("email")
            if misbehaviour == SLOW:
                await asyncio.sleep(_SLOW)
            if line == b"DATA":
                writer.write(b"354 go on\r\n")
                if not await self._content(reader, writer, misbehaviour):
                    return
            elif line.startswith(b"RCPT") and misbehaviour == LATER:
                writer.write(b"450 not now\r\n")
            else:
                writer.write(b"250 fine\r\n")
            await writer.drain()

    async def _content(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, misbehaviour: str) -> bool:
        """Take the mail; False when the conversation ends without an answer."""
        content = await asyncio.wait_for(reader.readuntil(b"\r\n.\r\n"), 30)
        if misbehaviour == NEVER:
            writer.write(b"554 never\r\n")
            return True
        self._journal.add(_entry(content))
        if misbehaviour == HANGS:
            await asyncio.sleep(_PATIENCE)
        if misbehaviour in {HANGS, DROPS}:
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


_TOO_LONG = 12.0
_ANSWER = b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_ANSWERS = {"": b"204 No Content", FAILS: b"500 Broken", LATE: b"204 No Content"}


class HookSink:
    """One HTTP endpoint; each connection carries one request."""

    def __init__(self, journal: Journal, misbehaviours: Misbehaviours) -> None:
        self._journal = journal
        self._misbehaviours = misbehaviours

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
        misbehaviour = self._misbehaviours.next("webhook")
        if misbehaviour != FAILS:
            now = time.time()
            self._journal.add({"at": now, "delivery": headers[b"webhook-id"].decode()})
        if misbehaviour == RESET:
            whole = writer.get_extra_info("socket")
            whole.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return
        if misbehaviour in {LATE, SILENT}:
            await asyncio.sleep(_TOO_LONG)
        if misbehaviour in _ANSWERS:
            writer.write(_ANSWER % _ANSWERS[misbehaviour])
            await writer.drain()


_ROOT = Path(__file__).parents[2]


class Sinks:
    """Both sinks, and the ports they listen on."""

    def __init__(self, process: asyncio.subprocess.Process, mail_port: int, hook_port: int) -> None:
        self.mail_port = mail_port
        self.hook_port = hook_port
        self.known = 0
        """How many orders have arrived there."""
        self._process = process

    def order(self, misbehaviour: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{misbehaviour}\n".encode())

    def behave(self) -> None:
        """Forget every misbehaviour that has not struck yet."""
        self.order(FORGET)

    async def listen(self, struck: Callable[[str], None]) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            if (word := line.decode().strip()) == KNOWN:
                self.known += 1
            else:
                struck(word)


@asynccontextmanager
async def run_sinks(folder: Path, struck: Callable[[str], None]) -> AsyncIterator[Sinks]:
    """Both sinks, as long as the block lasts."""
    ports = free_port(), free_port()
    pipe = asyncio.subprocess.PIPE
    words = child_command("tests.chaos.sinks", str(folder), *map(str, ports))
    process = await asyncio.create_subprocess_exec(*words, cwd=_ROOT, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    await process.stdout.readline()
    one = Sinks(process, *ports)
    listening = asyncio.create_task(one.listen(struck))
    try:
        yield one
    finally:
        process.kill()
        await process.wait()
        listening.cancel()


MAILS, HOOKS = "mails.jsonl", "hooks.jsonl"
FORGET, KNOWN = "forget", "known"


async def main(folder: Path, mail_port: int, hook_port: int) -> None:
    misbehaviours = Misbehaviours(_tell)
    mail = MailSink(Journal(folder / MAILS), misbehaviours)
    hook = HookSink(Journal(folder / HOOKS), misbehaviours)
    async with (
        await asyncio.start_server(mail.serve, HOST, mail_port, limit=2**20),
        await asyncio.start_server(hook.serve, HOST, hook_port, limit=2**20),
    ):
        _tell("ready")
        orders = await _standard_input()
        while order := (await orders.readline()).decode().strip():
            misbehaviours.forget() if order == FORGET else misbehaviours.order(order)
            _tell(KNOWN)


def _tell(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


if __name__ == "__main__":
    exit_with_parent(int(sys.argv[1]))
    asyncio.run(main(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
