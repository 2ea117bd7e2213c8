"""Checker: judges the evidence of a kept run: `python -m tests.chaos.checker FOLDER`."""

import sys
from pathlib import Path

import msgspec

from tests.chaos.evidence import Evidence
from tests.chaos.invariants import verdicts
from tests.chaos.progress import say

EVIDENCE = "evidence.msgpack"


def write(evidence: Evidence, folder: Path) -> None:
    """Keep it: a checker of tomorrow may see more in it."""
    (folder / EVIDENCE).write_bytes(msgspec.msgpack.encode(evidence))


def read(folder: Path) -> Evidence:
    """The evidence of a run."""
    return msgspec.msgpack.decode((folder / EVIDENCE).read_bytes(), type=Evidence)


def judged(evidence: Evidence) -> bool:
    """Print the table; whether every promise was kept."""
    found = verdicts(evidence)
    for one in found:
        say(str(one))
    return all(one.kept for one in found)


if __name__ == "__main__":
    sys.exit(not judged(read(Path(sys.argv[1]))))
