"""Watchdog: stops a test's server when the session is killed and can no longer do it itself."""

import shutil
import signal
import sys
from pathlib import Path

from deploy.servers.guard import RELEASED
from deploy.servers.process import find, send, wait_gone, wait_until

PATIENCE = 10.0  # a server that was just being started may not have written its pid file yet


def watch(pid_file: Path, mark: str, last: signal.Signals, remove: str) -> None:
    """Wait until the session releases the server or is gone; then send the server its last signal."""
    if sys.stdin.buffer.read() == RELEASED:
        return
    wait_until(lambda: find(pid_file, mark) is not None, PATIENCE)
    if (pid := find(pid_file, mark)) is not None:
        send(pid, last)
        wait_gone([pid], PATIENCE)
    if remove:
        shutil.rmtree(remove, ignore_errors=True)


if __name__ == "__main__":
    watch(Path(sys.argv[1]), sys.argv[2], signal.Signals[sys.argv[3]], sys.argv[4])
