"""Kafka: start, pause, kill and stop a real broker."""

import atexit
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from deploy.servers import broker
from deploy.servers.failure import failed, set_aside
from deploy.servers.guard import Guard
from deploy.servers.node import Node
from deploy.servers.ports import HOST
from deploy.servers.process import find, freeze, launch, send, wait_gone, wait_until

PATIENCE, START_PATIENCE = 60.0, 180.0
"""Seconds. Several that start side by side on a busy machine take their time; one that should end is killed sooner."""


def start_kafka(
    directory: Path, *, heap: str = "512m", environ: Mapping[str, str] = os.environ, brief: bool = False
) -> "Kafka":
    """Start a Kafka that ends with this process, even where this process is killed; data in `directory`/kafka.

    A `brief` one costs half as much to start and to ask, and is slower under load.
    """
    kafka = Kafka(directory, heap=heap, environ=environ, guarded=True, brief=brief)
    if kafka.start():
        atexit.register(kafka.stop)
    return kafka


class Kafka:
    """One broker (KRaft, no replicas) on loopback; it keeps its ports and its data over stops, kills and restarts."""

    def __init__(
        self,
        directory: Path,
        *,
        heap: str = "512m",
        environ: Mapping[str, str] = os.environ,
        guarded: bool = False,
        brief: bool = False,
    ) -> None:
        self._node = Node(directory.resolve() / "kafka", environ, brief=brief)
        self._heap, self._guarded = heap, guarded
        self._guard: Guard | None = None

    @property
    def home(self) -> Path:
        return self._node.home

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self._node.ports[0]}"

    @property
    def url(self) -> str:
        return f"kafka://{self.bootstrap}"

    @property
    def pid(self) -> int | None:
        """The broker's process, as long as it is ours and alive."""
        return find(self._pid_file, self._mark)

    def answers(self) -> bool:
        return self.pid is not None and broker.answers(self._node.ports[0])

    def start(self) -> bool:
        """Start it and wait until it serves; False: it ran already."""
        ran = self.pid is not None
        if not ran:
            self._node.prepare()
            self._launch()
        self._wait()
        return not ran

    def stop(self) -> None:
        """Stop it in good order; one that does not follow within the patience is killed."""
        self.resume()
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it in the middle of whatever it does (kill -9)."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers, from the moment this returns."""
        if (pid := self.pid) is not None and not freeze(pid, PATIENCE):
            raise failed(f"Kafka (process {pid}) does not stand still", self.log)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    @property
    def _pid_file(self) -> Path:
        return self.home / "pid"

    @property
    def _mark(self) -> str:
        return str(self._node.properties)

    def _launch(self) -> None:
        self._release()
        set_aside(self.log)
        if self._guarded:
            self._guard = Guard(self._pid_file, self._mark, signal.SIGKILL)
        launch(self._node.command(self._heap), pid_file=self._pid_file, log=self.log, cwd=self.home)

    def _wait(self) -> None:
        done = wait_until(lambda: self.answers() or self.pid is None, START_PATIENCE)
        if self.pid is None:
            self._release()
            raise failed("Kafka ended before it answered", self.log)
        if not done:
            raise failed(f"Kafka (process {self.pid}) does not answer at {self.bootstrap}", self.log)

    def _send(self, what: signal.Signals) -> None:
        if (pid := self.pid) is not None:
            send(pid, what)

    def _end(self, how: signal.Signals) -> None:
        if (pid := self.pid) is not None:
            send(pid, how)
            if not wait_gone([pid], PATIENCE):
                send(pid, signal.SIGKILL)
                wait_gone([pid], PATIENCE)
        self._release()
        self._pid_file.unlink(missing_ok=True)

    def _release(self) -> None:
        if self._guard:
            self._guard.release()
            self._guard = None
