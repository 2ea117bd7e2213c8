"""Machine: cores, memory, kernel, and the versions of what matters."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from bench.servers import ROOT
from bench.session import Session
from deploy.servers.jars import POM
from deploy.servers.process import run

_LIBRARIES = ("aiokafka", "asyncpg", "sqlalchemy", "msgspec", "uvicorn", "uvloop", "starlette", "cramjam")


def described() -> dict[str, str]:
    """Each fact by its name."""
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _processor(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "load before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "waymark": _commit(),
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


async def of_servers(session: Session) -> dict[str, str]:
    """Which PostgreSQL, and which Kafka where it is ours; nothing where no row needed them."""
    theirs = await session.servers_used()
    if theirs is None:
        return {}
    kafka = {"kafka": POM.read_text(encoding="utf8").partition("<kafka.version>")[2].partition("<")[0]}
    return {"postgresql": await theirs.version()} | (kafka if theirs.pids else {"kafka": "not ours"})


def _commit() -> str:
    code, said = run(["git", "describe", "--always", "--dirty"], cwd=ROOT)
    return said.strip() if code == 0 else "not from git"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
