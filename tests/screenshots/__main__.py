"""Start a fresh demo of its own, take the pictures of the README into docs/images, and end the demo.

`python -m tests.screenshots BROWSER_PYTHON`: a Python that has playwright and Pillow.
"""

import asyncio
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

from tests.conftest import ROOT

_BROWSER = Path(__file__).parent / "browser.py"
_IMAGES = ROOT / "docs" / "images"


async def main(python: str) -> int:
    """The exit code of the browser's program."""
    with tempfile.TemporaryDirectory() as folder:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WAYMARK_")}
        words = [sys.executable, "-m", "waymark", "demo"]
        demo = await asyncio.create_subprocess_exec(
            *words, env={**clean, "WAYMARK_DATA": folder}, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        try:
            return await _take(python, await _console_link(demo))
        finally:
            demo.send_signal(signal.SIGINT)
            await demo.wait()


async def _console_link(demo: asyncio.subprocess.Process) -> str:
    assert demo.stdout is not None
    async for line in demo.stdout:
        if found := re.search(rb"http\S+/console/enter\S+", line):
            return found[0].decode()
    raise SystemExit("the demo ended before it printed its links")


async def _take(python: str, enter: str) -> int:
    _IMAGES.mkdir(exist_ok=True)
    browser = await asyncio.create_subprocess_exec(python, str(_BROWSER), enter, str(_IMAGES))
    return await browser.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
