"""What was it measured on? Cores, memory, kernel, and the versions of what matters."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("aiokafka", "asyncpg", "sqlalchemy", "msgspec", "uvicorn", "uvloop", "starlette", "cramjam")


def described() -> dict[str, str]:
    """Each fact by its name."""
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _processor(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "load before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
