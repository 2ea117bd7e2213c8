"""Runner of a peer: its own process on the same topic; it says when it begins and ends, the clocks are read here."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.cpu import Pids, family, spent
from bench.end_state import End, Kept, verify
from bench.errors import InvalidResult
from bench.peers.venvs import PEERS, python_of, versions
from bench.plan import THRESHOLD, warm
from bench.processes import stopped, tail
from bench.progress import Mark, between
from bench.rounds import Figures
from bench.servers import ROOT
from bench.session import Session
from bench.topics import PARTITIONS, made, transitions

_PATIENCE = 60.0
_SLOWEST = 500
_DECODE = msgspec.json.Decoder(dict[str, Kept]).decode
Job = dict[str, str | int]
_NOTHING: Job = {"bootstrap": "", "topic": "", "partitions": 0, "group": "", "output": "", "database": ""}
Words = Callable[[], Awaitable[list[str]]]


class Peer(NamedTuple):
    """A program under bench/peers, started by these words; `share` of the stream is what it can do in a few seconds."""

    name: str
    share: float
    words: Words
    told: Callable[[], str]
    database: bool = False
    path: tuple[Path, ...] = (PEERS,)

    async def prepared(self, _: Session) -> str:
        """Fetch what it needs; which versions."""
        await self.words()
        return self.told()

    async def round(self, session: Session, _: int) -> Figures:
        """Drain the topic once. Its end state is checked before there is a figure."""
        servers, topic = await session.servers(), await session.filled(session.stream(self.share))
        end, folder = await session.expected(topic.stream), session.new(self.name)
        output = await made(servers, f"{folder.name}.out")
        url = await servers.database(folder.name) if self.database else ""
        await servers.checkpointed()
        job: Job = {
            "bootstrap": servers.bootstrap,
            "topic": topic.topic,
            "partitions": PARTITIONS,
            "events": topic.stream.events,
            "warm": warm(topic.stream.events),
            "threshold": THRESHOLD,
            "group": f"{servers.prefix}{folder.name}",
            "output": output,
            "database": url,
        }
        first, last = await drained(await self.words(), job, folder, servers.processes, self.path)
        verify(End(kept(folder), await transitions(servers, output)), end)
        if url:
            await servers.dropped(url)
        return between(first, last)


def python(name: str, program: str = "main", share: float = 1.0, *, database: bool = False) -> Peer:
    """A peer in Python: its virtual environment is named by its folder."""

    async def words() -> list[str]:
        return [str(await python_of(name)), str(PEERS / name / f"{program}.py")]

    return Peer(f"{name}-{program}", share, words, lambda: versions(name), database)


def own(name: str) -> Peer:
    """A program of ours beside bench/peers, in our own environment."""

    async def words() -> list[str]:
        return [sys.executable, str(ROOT / f"bench/{name}.py")]

    return Peer(name, 1.0, words, lambda: "", path=(PEERS, ROOT))


async def drained(
    words: list[str], job: Job, folder: Path, processes: Mapping[str, Pids], path: Sequence[Path] = (PEERS,)
) -> tuple[Mark, Mark]:
    """Start it, read the clocks when it says so, let it end. Raises InvalidResult when it breaks off."""
    job = {**_NOTHING, **job, "folder": str(folder)}
    found = os.pathsep.join(map(str, path))
    environment = {**os.environ, "PYTHONPATH": found, "BENCH_JOB": msgspec.json.encode(job).decode()}
    log, patience = folder / "log", _PATIENCE + int(job["events"]) / _SLOWEST
    with log.open("wb") as err:
        child = await asyncio.create_subprocess_exec(
            *words,
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=err,
        )
    try:
        async with asyncio.timeout(patience):
            return await _marks(child, int(job["events"]), processes)
    except (TimeoutError, EOFError) as error:
        raise InvalidResult(f"{error or f'not done within {patience:.0f} s'}: {tail(log)}") from None
    finally:
        await stopped(child)


async def _marks(child: Process, events: int, others: Mapping[str, Pids]) -> tuple[Mark, Mark]:
    processes: dict[str, Pids] = {"client": partial(family, child.pid), **others}
    seen = int(await _said(child, b"began"))
    first = Mark(asyncio.get_running_loop().time(), seen, spent(processes))
    await _said(child, b"done")
    last = Mark(asyncio.get_running_loop().time(), events, spent(processes))
    await child.communicate(b"go on\n")
    if child.returncode:
        raise EOFError(f"it ended with exit code {child.returncode}")
    return first, last


async def _said(child: Process, word: bytes) -> bytes:
    """Wait for a line with that word, and give what stands after it; what a framework prints between is not for us."""
    assert child.stdout is not None  # noqa: S101  asked for above
    while line := await child.stdout.readline():
        said, _, rest = line.strip().partition(b" ")
        if said == word:
            return rest
    raise EOFError(f"it ended (exit code {await child.wait()}) before it said '{word.decode()}'")


def kept(folder: Path) -> dict[str, Kept]:
    """The end state that a runner left."""
    return _DECODE((folder / "state.json").read_bytes())
