"""Server failure: what went wrong, what the server said itself, and what to do."""

import shutil
from pathlib import Path

TAIL, WIDTH, ENOUGH = 12, 400, 2**20
COMPLAINTS = ("ERROR", "FATAL", "PANIC", "Exception: ")
ROOM = 512 * 2**20
UNKNOWN = "the lines above say why; the directory may be removed to begin anew (its data goes with it)"

# What a log or a tool says, and what helps. The first line that matches counts.
REMEDIES = (
    ("No space left on device", "the disk is full: make room, or choose another place with --dir"),
    (
        "Address already in use",
        "another program has the port: stop it, or remove the file with the port to get another",
    ),
    ("UnsupportedClassVersionError", "Kafka 4 needs Java 17 or newer: apt-get install openjdk-17-jre-headless"),
    ("insufficient memory", "the machine has too little free memory: stop something, or start with a smaller heap"),
    ("Cannot allocate memory", "the machine has too little free memory: stop something"),
    ("OutOfMemoryError", "the broker's heap is too small: start it with a bigger one"),
    (
        "incompatible with server",
        "another major version of PostgreSQL made this data: install that one, or remove the data",
    ),
    ("cannot be run as root", "PostgreSQL refuses root: run as another user, or add one: adduser --system postgres"),
    (
        "Checksum validation failed",
        "what Maven fetched is damaged: remove ~/.m2/repository/org/apache/kafka and try again",
    ),
    ("Could not find artifact", "the repository of this machine has no such artifact: look at ~/.m2/settings.xml"),
    (
        "Could not transfer",
        "Maven cannot reach its repository: look at the network, or name a mirror in ~/.m2/settings.xml",
    ),
    ("could not be resolved", "Maven cannot fetch: look at the network, or name a mirror in ~/.m2/settings.xml"),
    (
        "Permission denied",
        "a folder on the way is closed to the user the server runs as: choose another place with --dir",
    ),
)


class ServerError(Exception):
    """A server that cannot be had: its text is for a person and ends with what to do."""

    def __init__(self, what: str, *, said: str = "", where: Path | None = None, remedy: str | None = None) -> None:
        self.remedy = remedy or remedy_for(said)
        quoted = [f"    {line[:WIDTH]}" for line in telling(said)]
        source = [f"from {where}:"] if quoted and where else []
        super().__init__("\n".join([what, *source, *quoted, f"what to do: {self.remedy}"]))


def failed(what: str, log: Path) -> ServerError:
    return ServerError(what, said=tail(log), where=log)


def refuse_full_disk(name: str, folder: Path) -> None:
    if shutil.disk_usage(folder).free < ROOM:
        said = f"No space left on device: {folder} has less than {ROOM // 2**20} MiB"
        raise ServerError(f"{name} cannot be started", said=said)


def remedy_for(said: str) -> str:
    return next((remedy for sign, remedy in REMEDIES if sign in said), UNKNOWN)


def telling(said: str) -> list[str]:
    """Pick the last lines, and the complaints above them: a broker that fails says why long before it is gone."""
    lines = said.splitlines()
    complaints = [line for line in lines[:-TAIL] if any(sign in line for sign in COMPLAINTS)][-TAIL:]
    return [*complaints, *(["..."] if complaints else []), *lines[-TAIL:]]


def tail(log: Path) -> str:
    if not log.exists():
        return ""
    return log.read_bytes()[-ENOUGH:].decode(errors="replace")


def set_aside(log: Path) -> None:
    """Keep one earlier log: what a server said in an earlier life must not explain why it fails in this one."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.before"))
