"""Process: another program, how it is run, found, signalled and waited for."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

STEP = 0.05
BIRTH = 5.0
_STILL = frozenset("TtZX")  # stopped, traced, or dead

# Our own children stay zombies until they are asked for; a server of an earlier command is not in here.
_children: dict[int, "subprocess.Popen[bytes]"] = {}


def launch(command: Sequence[str], *, pid_file: Path, log: Path, cwd: Path) -> int:
    """Start a program in a session of its own, so that Ctrl-C in a terminal does not reach it; return its pid."""
    with log.open("wb") as out:
        child = subprocess.Popen(  # noqa: S603 -- the command is ours, there is no shell
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, start_new_session=True
        )
    _children[child.pid] = child
    pid_file.write_text(f"{child.pid}\n", encoding="ascii")
    # A process that is just being born has no command line yet, and would be taken for a dead one.
    wait_until(lambda: bool(command_line(child.pid)) or child.poll() is not None, BIRTH)
    return child.pid


def run(
    command: Sequence[str], *, cwd: Path, user: tuple[int, int] | None = None, environ: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a program to its end, as `user` (uid, gid) where given; return its exit code and all it said."""
    uid, gid = user or (None, None)
    done = subprocess.run(  # noqa: S603 -- the command is ours, there is no shell
        command,
        cwd=cwd,
        env=environ,
        user=uid,
        group=gid,
        extra_groups=[] if user else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def command_line(pid: int) -> str:
    """Return the arguments a process runs with; of one that is gone, or only waits to be buried, nothing."""
    if child := _children.get(pid):
        child.poll()
    if Path("/proc/self").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    return run(["ps", "-ww", "-o", "args=", "-p", str(pid)], cwd=Path("/"))[1]


def find(pid_file: Path, mark: str) -> int | None:
    """Return the process a pid file names, if its command line bears our mark: a pid alone may be anyone's by now."""
    pid = _named_in(pid_file)
    return pid if pid is not None and mark in command_line(pid) else None


def zombies(pid_file: Path) -> list[int]:
    """Return the process a pid file names, if it is dead and only waits to be buried."""
    pid = _named_in(pid_file)
    return [pid] if pid is not None and not command_line(pid) else []


def _named_in(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None


def children_of(pid: int) -> list[int]:
    """Return the direct children of a process (on a system without /proc: none)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            # The name stands in brackets and may hold anything: the parent is the second word after it.
            if int(stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def send(pid: int, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, what)


def freeze(pid: int, seconds: float) -> bool:
    """Stop a process and wait until every thread stands still: the signal returns before the last one does."""
    send(pid, signal.SIGSTOP)
    return wait_until(lambda: all(state in _STILL for state in thread_states(pid)), seconds)


def thread_states(pid: int) -> list[str]:
    """Return the state of each thread as one letter, T: stopped (on a system without /proc: of the process)."""
    if not Path("/proc/self").exists():
        return [state[0] for state in run(["ps", "-o", "state=", "-p", str(pid)], cwd=Path("/"))[1].split()]
    states = []
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError, IndexError):  # a thread that has ended meanwhile
            states.append(stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0])
    return states


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(STEP)
    return True


def wait_gone(pids: Sequence[int], seconds: float) -> bool:
    """Wait until processes are dead and buried: PostgreSQL takes even a zombie for a server that runs."""
    return wait_until(lambda: not any(_is_there(pid) for pid in pids), seconds)


def _is_there(pid: int) -> bool:
    if child := _children.get(pid):
        return child.poll() is None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
