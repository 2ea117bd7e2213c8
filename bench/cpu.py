"""Processor time and memory of processes, as the kernel counts them; Linux only."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy.servers.process import children_of

_TICKS = os.sysconf("SC_CLK_TCK")
_MIB = 1024
Pids = Callable[[], list[int]]
Spent = dict[str, float]


def used(pids: Sequence[int]) -> float:
    """Seconds, children that have ended included."""
    return sum(sum(map(int, _fields(pid)[11:15])) for pid in pids) / _TICKS


def peak(pids: Sequence[int]) -> float:
    """The most memory they ever had, in MiB."""
    return sum(_high_water(pid) for pid in pids) / _MIB


def family(pid: int) -> list[int]:
    """A process and its direct children: PostgreSQL has one for each connection."""
    return [pid, *children_of(pid)]


def spent(processes: Mapping[str, Pids]) -> Spent:
    """Seconds so far, by name."""
    return {name: used(pids()) for name, pids in processes.items()}


def each(before: Spent, after: Spent, events: int) -> dict[str, float]:
    """What one event cost, as figures."""
    return {f"cpu us/event {name}": (after[name] - before[name]) / events * 1e6 for name in after}


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf8").rpartition(")")[2].split()
    except OSError:
        return ["0"] * 15


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf8").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
