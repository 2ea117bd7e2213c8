"""Virtual environments of the peers, made once on a machine and kept outside the repository."""

import asyncio
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.errors import InvalidResult

PEERS = Path(__file__).parent
_INSTALL = 900.0
_ADDRESS = re.compile(r"https?://\S+|host='[^']*'|\(?[\w-]+(\.[\w-]+)+:\d+\)?")


def cache(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of everything that is fetched for the peers: that of the servers' jars."""
    root = environ.get("WAYMARK_CACHE") or Path(environ.get("HOME", "~")).expanduser() / ".cache" / "waymark"
    return Path(root) / "bench"


async def python_of(name: str) -> Path:
    """The interpreter of this peer, its libraries installed. Raises InvalidResult when they cannot be."""
    needed = PEERS / name / "requirements.txt"
    known = hashlib.sha256(needed.read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = cache() / f"{name}-{known}"
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        await done([sys.executable, "-m", "venv", str(home)], f"make a virtual environment for {name}")
        pip = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        await done([*pip, "--requirement", str(needed)], f"install what {name} needs")
        (home / "complete").touch()
    return home / "bin/python"


def versions(name: str) -> str:
    """What is pinned, in a line: the libraries that matter stand first in the file."""
    lines = (PEERS / name / "requirements.txt").read_text(encoding="utf8").split()
    return ", ".join(lines[:3])


def _told(said: bytes) -> str:
    """The end of it, without addresses: where a machine fetches from is its own affair, and results are published."""
    return _ADDRESS.sub("(address)", said.decode(errors="replace").strip()[-600:])


async def done(words: list[str], what: str, cwd: Path | None = None) -> str:
    """Run a command to its end; what it said. Raises InvalidResult when it fails."""
    child = await asyncio.create_subprocess_exec(
        *words,
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_INSTALL):
            said, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        raise InvalidResult(f"could not {what} within {_INSTALL:.0f} s") from None
    if child.returncode:
        raise InvalidResult(f"could not {what}: {_told(said)}")
    return said.decode(errors="replace")
