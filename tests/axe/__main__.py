"""Start the product with accounts in it, and let axe-core look at every page: phone and desk, light and dark.

`python -m tests.axe BROWSER_PYTHON AXE_JS`: a Python that has playwright, and the file axe.min.js. The exit code is 1 when
axe finds something, or a page scrolls sideways.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from shared.keys import credentials
from tests.conftest import embedded
from tests.service.console.make import BOB, address, browser, site

_BROWSER = Path(__file__).parent / "browser.py"
_LISTS = ("accounts", "accounts?owner=@me", "outbox", "tasks", "tasks?done=true", "plays", "surveys", "surveys/nps")
_MORE = ("referrals", "advocates", "ledger", "parked", "not-counted", "audit", "health", "stages", "sessions", "mode")


async def main(python: str, axe: str) -> int:
    """The exit code of the browser's program."""
    with tempfile.TemporaryDirectory() as folder:
        settings = embedded(Path(folder))
        async with site(settings) as running, browser(running, settings):
            pages = ["/console/", address(BOB), *(f"/console/{page}" for page in (*_LISTS, *_MORE))]
            words = [python, str(_BROWSER), running.url, credentials(settings.data).admin, axe, *pages]
            return await (await asyncio.create_subprocess_exec(*words)).wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
