"""Java and the jars of a Kafka broker, and where they come from."""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.servers.failure import ServerError
from deploy.servers.process import run

POM = Path(__file__).parents[1] / "kafka" / "pom.xml"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin"  # its version stands in the pom
OPTIONS = ("--batch-mode", "--quiet", "--strict-checksums", "-Dstyle.color=never", "-DincludeScope=runtime")
NO_JAVA = "there is no Java on PATH, and Kafka needs 17 or newer: apt-get install openjdk-17-jre-headless maven"
NO_MAVEN = "there is no Maven on PATH to fetch the jars of Kafka, and none in {cache}: apt-get install maven"


def missing_for_kafka(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return why a Kafka cannot be had on this machine and the command that mends it; None where it can."""
    if java(environ) is None:
        return NO_JAVA
    if not complete(jar_cache(environ)) and maven(environ) is None:
        return NO_MAVEN.format(cache=jar_cache(environ))
    return None


def java(environ: Mapping[str, str]) -> str | None:
    home = environ.get("JAVA_HOME")
    own = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    return own or shutil.which("java", path=environ.get("PATH", ""))


def maven(environ: Mapping[str, str]) -> str | None:
    return shutil.which("mvn", path=environ.get("PATH", ""))


def jar_cache(environ: Mapping[str, str]) -> Path:
    version = re.search(r"<kafka\.version>(.+?)<", POM.read_text(encoding="utf-8"))
    root = environ.get("WAYMARK_CACHE") or Path(environ.get("HOME", "~")).expanduser() / ".cache" / "waymark"
    return Path(root) / f"kafka-{version.group(1) if version else 'unknown'}"


def complete(cache: Path) -> bool:
    """Tell whether the cache was filled from the pom as it stands today."""
    made_from = cache / POM.name
    return made_from.exists() and made_from.read_bytes() == POM.read_bytes()


def jars(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the jars, fetched at the first call on a machine; later calls find it there."""
    cache = jar_cache(environ)
    if not complete(cache):
        cache.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(cache.parent / f"{cache.name}.lock"):
            if not complete(cache):
                _fill(cache, environ)
    return cache


def _fill(cache: Path, environ: Mapping[str, str]) -> None:
    """Fetch aside and rename: a download that breaks off never looks like jars."""
    with tempfile.TemporaryDirectory(dir=cache.parent, prefix=".fetching-") as aside:
        fetched = Path(aside) / "new"
        fetched.mkdir()
        _fetch(fetched, environ)
        shutil.copy(POM, fetched)
        if cache.exists():
            cache.rename(Path(aside) / "old")
        fetched.rename(cache)


def _fetch(into: Path, environ: Mapping[str, str]) -> None:
    mvn = maven(environ)
    if mvn is None:
        raise ServerError("the jars of Kafka cannot be fetched", remedy=NO_MAVEN.format(cache=jar_cache(environ)))
    command = (mvn, "-f", str(POM), *OPTIONS, f"-DoutputDirectory={into}", f"{PLUGIN}:copy-dependencies")
    code, said = run(command, cwd=into, environ=environ)
    if code or not any(into.glob("kafka_*.jar")):
        raise ServerError("Maven cannot fetch the jars of Kafka", said=said)


@contextmanager
def one_at_a_time(lock: Path) -> Iterator[None]:
    """Let test workers that start together fetch, or start, one after the other."""
    with lock.open("w", encoding="ascii") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
