"""Java peer: Maven fetches its jars once, `javac` compiles its one file."""

import hashlib
import os
import shutil
from pathlib import Path

from bench.errors import InvalidResult
from bench.peers.runner import Peer
from bench.peers.venvs import PEERS, cache, done
from deploy.servers.jars import OPTIONS, PLUGIN, java, maven

_HOME = PEERS / "streams"
_HEAP = "-Xmx1g"


def streams(guarantee: str) -> Peer:
    """Kafka Streams with this processing guarantee."""

    async def words() -> list[str]:
        made = await _made()
        classes = f"{made / 'classes'}{os.pathsep}{made / 'jars'}/*"
        return [java(os.environ) or "java", _HEAP, "-cp", classes, "Fold", guarantee]

    return Peer(f"streams-{guarantee}", 1.0, words, lambda: "kafka-streams 4.3.1, jackson 2.19.2, 1 thread, " + _HEAP)


async def _made() -> Path:
    """The folder with jars and classes. Raises InvalidResult when it cannot be had."""
    sources = [_HOME / "pom.xml", _HOME / "Fold.java"]
    known = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    home = cache() / f"streams-{known}"
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        (home / "jars").mkdir(parents=True)
        await _fetched(home)
        await done([_javac(), "-cp", f"{home}/jars/*", "-d", f"{home}/classes", str(sources[1])], "compile Fold.java")
        (home / "complete").touch()
    return home


async def _fetched(home: Path) -> None:
    mvn = maven(os.environ)
    if mvn is None:
        raise InvalidResult("there is no Maven on PATH to fetch the jars of Kafka Streams: apt-get install maven")
    words = [
        mvn,
        "-f",
        str(_HOME / "pom.xml"),
        *OPTIONS,
        f"-DoutputDirectory={home}/jars",
        f"{PLUGIN}:copy-dependencies",
    ]
    await done(words, "fetch the jars of Kafka Streams", home)


def _javac() -> str:
    found = java(os.environ)
    beside = Path(found).parent / "javac" if found else None
    compiler = str(beside) if beside and beside.exists() else shutil.which("javac")
    if compiler is None:
        raise InvalidResult(
            "there is no javac to compile the Kafka Streams peer: apt-get install openjdk-17-jdk-headless"
        )
    return compiler
