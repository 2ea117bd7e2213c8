"""What becomes of a statement whose task is cancelled? It ends before anybody else touches its connection."""

import subprocess
import sys

from tests.conftest import ROOT

CANCELLED = """
import asyncio, pathlib, sys
from sqlalchemy import text
from shared.bus.outgoing import OutgoingLog
from shared.clock import SystemClock
from shared.db.sqlite import SqliteDatabase

LONG = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 400000) SELECT count(*) FROM c"

async def ask(database):
    async with database.snapshot() as read:
        await read.scalar(text(LONG))

async def main():
    for n in range(10):
        database = SqliteDatabase(pathlib.Path(sys.argv[1]) / f"{n}.db", OutgoingLog(lambda _: 1, SystemClock()))
        tasks = [asyncio.create_task(ask(database)) for _ in range(3)]
        await asyncio.wait(tasks, timeout=0.02)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await database.close()
    print("closed")

asyncio.run(main())
"""


def test_closing_a_database_under_cancelled_statements_is_safe(tmp_path: object) -> None:
    done = subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, "-c", CANCELLED, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "closed\n"), done.stderr
