"""How much processor time have these processes used? As the kernel counts it; Linux only."""

import os
from collections.abc import Sequence
from pathlib import Path

from deploy.servers.process import children_of

_TICKS = os.sysconf("SC_CLK_TCK")


def used(pids: Sequence[int]) -> float:
    """Seconds, children that have ended included."""
    return sum(sum(map(int, _fields(pid)[11:15])) for pid in pids) / _TICKS


def family(pid: int) -> list[int]:
    """A process and its direct children: PostgreSQL has one for each connection."""
    return [pid, *children_of(pid)]


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf8").rpartition(")")[2].split()
    except OSError:
        return ["0"] * 15
