"""Maker of the golden data: plays the scenario on real services and keeps the database, as it stood, beside a readout of it.

    make golden

Run it in the root of the checkout that is released, with its version in pyproject.toml: the services, their configuration
and the test helpers are that checkout's. Data of a release are never made anew: they are made once, by its own code.
"""

import asyncio
import json
import lzma
import re
import shutil
import socket
import sqlite3
import sys
import tempfile
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

from deploy.servers import Kafka, Postgres, start_kafka, start_postgres
from deploy.servers.ports import free_port
from tests.golden.readout import readout
from tests.golden.release import DEFINITION, FOLDER
from tests.golden.scenario import played, settings
from tests.journey.services import RunningServices

CONFIG = Path("config")
OWNER = "golden:1"
"""In place of the host and process that held partitions and leases."""


async def embedded(out: Path, work: Path) -> None:
    shutil.copy(CONFIG / DEFINITION, out)
    where = settings(work, CONFIG)

    async def take(on: RunningServices) -> None:
        database = out / "waymark.db"
        with closing(sqlite3.connect(work / "waymark.db")) as source, closing(sqlite3.connect(database)) as copy:
            source.backup(copy)
        write(out, "embedded", await readout(on))
        with closing(sqlite3.connect(database)) as copy:
            copy.execute("UPDATE consumer_cursor SET owner = ?", [OWNER])
            copy.commit()
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute("VACUUM")
        pack(out / "waymark.db.xz", database.read_bytes())
        database.unlink()

    await played(where, free_port(), take)


async def scaled(out: Path, work: Path) -> None:
    kafka, postgres = start_kafka(work), start_postgres(work)
    try:
        url = postgres.create_database("golden")
        where = settings(work, CONFIG, database_url=url, bus_url=kafka.url)

        async def take(on: RunningServices) -> None:
            text = dump(postgres)
            write(out, "scaled", await readout(on))
            pack(out / "waymark.sql.xz", text.encode())

        await played(where, free_port(), take)
    finally:
        stop(kafka, postgres)


def dump(postgres: Postgres) -> str:
    """Plain INSERTs, which any client can run; without owners, and without what only psql reads."""
    what = ("--no-owner", "--no-privileges", "--inserts", "--rows-per-insert=100", "--no-comments")
    cluster = postgres._cluster  # noqa: SLF001  it knows as whom the programs may run
    code, text = cluster.run("pg_dump", "-h", "127.0.0.1", "-p", str(postgres.port), "-U", "waymark", *what, "golden")
    assert code == 0, text
    text = re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.MULTILINE)
    return re.sub(rf"'{re.escape(socket.gethostname())}:\d+'", f"'{OWNER}'", text)


def stop(kafka: Kafka, postgres: Postgres) -> None:
    kafka.stop()
    postgres.end()


def write(out: Path, name: str, found: dict[str, Any]) -> None:
    pack(out / f"{name}.json.xz", json.dumps(found, sort_keys=True, separators=(",", ":")).encode())


def pack(file: Path, content: bytes) -> None:
    places = rf"\b{re.escape(socket.gethostname())}:\d+|{re.escape(str(Path.cwd()))}|{tempfile.gettempdir()}/"
    assert not re.search(places.encode(), content), f"{file.name} names this machine"
    file.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))


def main(version: str) -> None:
    """Both deployments' data of this version, in a folder of its own: there whole or not at all."""
    target = FOLDER / version
    if target.exists():
        sys.exit(f"{target} exists: the data of a release are never made anew")
    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        made = Path(folder) / version
        made.mkdir()
        for name, make in {"embedded": embedded, "scaled": scaled}.items():
            asyncio.run(make(made, Path(folder) / name))
        note = f"# Golden data of {version}\n\nMade once by `make golden` on the code of that version, and never made anew.\n"
        (made / "README.md").write_text(f"{note}The files are described in [0.1.0](../0.1.0/README.md).\n", "utf8")
        shutil.copytree(made, target)
    sys.stdout.write(f"made {target}: commit it with the release\n")


if __name__ == "__main__":
    main(tomllib.loads(Path("pyproject.toml").read_text("utf8"))["project"]["version"])
