"""PostgreSQL: start, pause, kill and stop a real server."""

import atexit
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from deploy.servers.cluster import DATABASE, OWNER, Cluster
from deploy.servers.failure import ServerError, failed, set_aside
from deploy.servers.guard import Guard
from deploy.servers.ports import HOST, free_port, is_free
from deploy.servers.process import children_of, find, freeze, send, wait_gone, wait_until, zombies

PATIENCE = 240
"""Seconds. After a crash the whole data directory is read and synced before it serves: on a busy disk that takes minutes."""


def start_postgres(directory: Path, *, environ: Mapping[str, str] = os.environ) -> "Postgres":
    """Start a PostgreSQL that ends with this process, even where this process is killed; data in `directory`/postgres."""
    postgres = Postgres(directory, environ=environ, guarded=True)
    if postgres.start():
        atexit.register(postgres.end)
    return postgres


class Postgres:
    """One server on loopback; it keeps its port and its data over stops, kills and restarts."""

    def __init__(self, directory: Path, *, environ: Mapping[str, str] = os.environ, guarded: bool = False) -> None:
        self._cluster = Cluster(directory.resolve() / "postgres", environ)
        self._guarded = guarded
        self._guard: Guard | None = None

    @property
    def home(self) -> Path:
        return self._cluster.home

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def port(self) -> int:
        kept = self.home / "port"
        if not kept.exists():
            kept.write_text(f"{free_port()}\n", encoding="ascii")
        return int(kept.read_text(encoding="ascii"))

    @property
    def pid(self) -> int | None:
        """The server's first process, as long as it is ours and alive."""
        return find(self._pid_file, self._mark)

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql+asyncpg://{self._address(database)}"

    def dsn(self, database: str = DATABASE) -> str:
        """Return the address in the form asyncpg and psql read."""
        return f"postgresql://{self._address(database)}"

    def answers(self) -> bool:
        return self.pid is not None and not self._cluster.run("pg_isready", "-h", HOST, "-p", str(self.port))[0]

    def start(self) -> bool:
        """Start it and wait until it serves; False: it ran already."""
        if self.pid is not None:
            self._expect_answer()
            return False
        self._cluster.create()
        if not is_free(self.port):
            what = f"port {self.port} of this PostgreSQL is taken by another program"
            raise ServerError(what, remedy=f"stop that program, or remove {self.home / 'port'} to get another port")
        self._launch()
        self.create_database(DATABASE)
        return True

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it: fast hangs up on its clients and closes the books; immediate is a crash, repaired at the next start."""
        if self.pid is not None:
            code, said = self._control("stop", "-m", mode)
            if code and self.pid is not None:
                raise ServerError("PostgreSQL does not stop", said=said)
        self._release()

    def kill(self) -> None:
        """Kill all its processes in the middle of whatever they do (kill -9)."""
        if (pid := self.pid) is not None:
            freeze(pid, PATIENCE)  # a stopped parent starts no more children
            family = [*children_of(pid), pid]
            for member in family:
                send(member, signal.SIGKILL)
            wait_gone(family, PATIENCE)
        self._release()

    def end(self) -> None:
        """Stop it for good: data that had to move out of the given directory would otherwise be left behind."""
        self.stop()
        self._cluster.remove_elsewhere()

    def restart(self) -> None:
        self.stop()
        self.start()

    def create_database(self, name: str, template: str = "template1") -> str:
        """Create a database unless it is there, as a copy of another one that nobody uses; return its url."""
        how = ("-h", HOST, "-p", str(self.port), "-U", OWNER, "-T", template)
        code, said = self._cluster.run("createdb", *how, name)
        if code and "already exists" not in said:
            raise ServerError(f"PostgreSQL cannot create the database {name}", said=said)
        return self.url(name)

    @property
    def _pid_file(self) -> Path:
        return self._cluster.data / "postmaster.pid"

    @property
    def _mark(self) -> str:
        return str(self._cluster.data)

    def _address(self, database: str) -> str:
        return f"{OWNER}:{self._cluster.password}@{HOST}:{self.port}/{database}"

    def _expect_answer(self) -> None:
        if not wait_until(self.answers, PATIENCE):
            raise failed(f"PostgreSQL (process {self.pid}) does not answer at {HOST}:{self.port}", self.log)

    def _launch(self) -> None:
        self._release()
        wait_gone(zombies(self._pid_file), PATIENCE)
        set_aside(self.log)
        if self._guarded:
            self._guard = Guard(self._pid_file, self._mark, signal.SIGQUIT, self._cluster.elsewhere)
        code, said = self._control("start", "-l", str(self.log), "-o", f"-p {self.port}")
        if code:
            self._release()
            raise failed(f"PostgreSQL does not start: {said.splitlines()[-1] if said else ''}", self.log)

    def _control(self, *what: str) -> tuple[int, str]:
        return self._cluster.run("pg_ctl", "-D", str(self._cluster.data), "-w", "-t", str(PATIENCE), *what)

    def _release(self) -> None:
        if self._guard:
            self._guard.release()
            self._guard = None
