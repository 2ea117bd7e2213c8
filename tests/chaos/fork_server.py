"""Fork server: one process that has imported everything once, and forks the service processes on command.

A line of JSON on its standard input is an order, a line on its standard output reports a start or an exit. It has one
thread and no event loop: what is forked is clean.
"""

import asyncio
import gc
import os
import select
import signal
import sys
import traceback
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from shared.clock import SystemClock
from shared.settings import Settings
from tests.chaos import crash_points
from tests.chaos.process_pool import DAYS_AHEAD, ProcessEvent, StartProcess, exit_with_parent
from waymark.commands import serve
from waymark.serving import event_loop

_MAX_LOG = 1_000_000
_FAILED = 1


class WrongClock(SystemClock):
    """The machine's clock as somebody has set it; its seconds are right."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return super().now() + self._ahead


def main(parent: int, mutant: str) -> None:
    exit_with_parent(parent)
    crash_points.install()
    with ExitStack() as planted:  # held as long as we live: let go, it would undo the mutant
        if mutant:
            from tests.chaos.mutants import MUTANTS  # noqa: PLC0415  only a run with a mutant needs them

            MUTANTS[mutant].plant(planted)
        crash_points.listen()
        gc.collect()
        gc.freeze()
        _take_orders()


def _take_orders() -> None:
    alarm, ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    names: dict[int, str] = {}
    waiting = b""
    while True:
        ready, _, _ = select.select([0, alarm], [], [])
        if alarm in ready:
            os.read(alarm, 4096)
        _reap(names)
        if 0 not in ready:
            continue
        piece = os.read(0, 65536)
        if not piece:
            return
        *orders, waiting = (waiting + piece).split(b"\n")
        for order in orders:
            _fork(msgspec.json.decode(order, type=StartProcess), names)


def _reap(names: dict[int, str]) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            _report(ProcessEvent(names.pop(pid), pid, os.waitstatus_to_exitcode(status)))


def _fork(order: StartProcess, names: dict[int, str]) -> None:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        names[pid] = order.name
        _report(ProcessEvent(order.name, pid))
        return
    try:
        _serve(order, parent)
    except BaseException:  # noqa: BLE001  whatever ended it, the child must not return into the fork server's loop
        traceback.print_exc()
        os._exit(_FAILED)
    os._exit(0)


def _serve(order: StartProcess, parent: int) -> None:
    """The product as `waymark run` starts it, from here on."""
    os.setpgid(0, 0)
    exit_with_parent(parent)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _log_to(Path(order.log))
    os.environ.update(order.environment)
    with asyncio.Runner(loop_factory=event_loop) as runner:
        clock = WrongClock(timedelta(days=int(order.environment.get(DAYS_AHEAD, "0"))))
        runner.run(serve(Settings(), order.services, clock))


def _log_to(file: Path) -> None:
    """A log that has grown makes room: two of them are kept."""
    if file.exists() and file.stat().st_size > _MAX_LOG:
        file.replace(file.with_suffix(".old"))
    log = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _report(what: ProcessEvent) -> None:
    os.write(1, msgspec.json.encode(what) + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
