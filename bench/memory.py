"""Rows `replay*`: the core alone, as a replay or a backtest uses it, over events as bytes in memory."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from bench.end_state import End, verify
from bench.peers.runner import Job, drained, kept
from bench.peers.venvs import PEERS, python_of, versions
from bench.plan import THRESHOLD, warm
from bench.progress import between
from bench.rounds import Figures
from bench.servers import ROOT
from bench.session import Session
from bench.stream import Stream, written

_TOLD = msgspec.json.Decoder(dict[str, int]).decode


async def ours(session: Session, _: int) -> Figures:
    """Decode by contract, fold by the product's core under the minimal definition."""
    return await drain(session, [sys.executable, str(ROOT / "bench/replay.py")], (PEERS, ROOT))


async def bytewax(session: Session, _: int) -> Figures:
    """The same lines through Bytewax's testing source."""
    return await drain(session, [str(await python_of("bytewax")), str(PEERS / "bytewax/memory.py")], (PEERS,))


async def bytewax_prepared(_: Session) -> str:
    """Its virtual environment; which versions."""
    await python_of("bytewax")
    return versions("bytewax")


async def drain(session: Session, words: list[str], path: tuple[Path, ...]) -> Figures:
    """Run a program over the lines; its end state is checked before there is a figure."""
    stream, folder = session.remembered(), session.new("memory")
    file = await session.once(("lines", stream), _writing(session, stream))
    job: Job = {"events": stream.events, "warm": warm(stream.events), "threshold": THRESHOLD, "topic": str(file)}
    first, last = await drained(words, job, folder, {}, path)
    told = _TOLD((folder / "told.json").read_bytes())
    verify(End(kept(folder), told), await session.expected(stream))
    return between(first, last)


def _writing(session: Session, stream: Stream) -> Callable[[], Awaitable[Path]]:
    async def lines() -> Path:
        file = session.folder / f"{stream.name}.jsonl"
        await asyncio.to_thread(file.write_bytes, b"\n".join(map(written, stream)))
        return file

    return lines
