"""Last resort: the event loop hangs at the stop; a thread ends the process, and a second signal does at once."""

import asyncio
import signal
import sys

import pytest

from tests.conftest import ROOT

HANGS = """
import asyncio, time
from waymark.commands import until_stopped

async def main():
    server = asyncio.create_task(asyncio.sleep(3600))
    asyncio.get_running_loop().call_soon(print, "ready")
    await until_stopped(server)
    print("stopping")
    time.sleep(3600)

asyncio.run(main())
"""


GIVES_UP = """
import asyncio, time
from waymark.commands import until_stopped

async def give_up():
    raise SystemExit(7)

async def main():
    try:
        beside = asyncio.get_running_loop().create_task(give_up())
        await until_stopped(asyncio.create_task(asyncio.sleep(3600)))
    finally:
        time.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("signals", "code"),
    [([signal.SIGTERM], 1), ([signal.SIGTERM] * 2, -signal.SIGTERM), ([signal.SIGINT] * 2, -signal.SIGINT)],
)
async def test_a_loop_that_hangs_is_no_reason_to_stay(signals: list[signal.Signals], code: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-c", HANGS), cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout
    assert process.stderr
    async with asyncio.timeout(60):
        for said, one in zip((b"ready\n", b"stopping\n"), signals, strict=False):
            assert await process.stdout.readline() == said
            process.send_signal(one)
        assert await process.wait() == code
        if code == 1:
            assert b"ended by force" in await process.stderr.read()


async def test_a_process_that_ends_itself_ends_as_well() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", GIVES_UP), cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(60):
        assert await process.wait() == 1
