"""Guard: no server of a test outlives the test session."""

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RELEASED = b"released"


class Guard:
    """A watcher that reads from a pipe of ours: when we die, however we die, the pipe ends and it acts (`watch.py`).

    It is there before the server is: a session can be killed in the middle of a start.
    """

    def __init__(self, pid_file: Path, mark: str, last: signal.Signals, remove: Path | None = None) -> None:
        self._watcher = subprocess.Popen(  # noqa: S603 -- the command is ours, there is no shell
            [sys.executable, "-m", "deploy.servers.watch", str(pid_file), mark, last.name, str(remove or "")],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def release(self) -> None:
        self._watcher.communicate(RELEASED)
