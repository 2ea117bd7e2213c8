"""Ports of this machine that a server may have, in blocks of which each belongs to one process."""

import os
import socket
from collections.abc import Iterator

HOST = "127.0.0.1"
# Below the range that systems give to outgoing connections: a client that knocks on a server which is just being
# restarted could otherwise be given the server's own port, and keep it.
FIRST, LAST = 20_000, 32_000
BLOCK = 50


class _Blocks:
    """The ports of one process. Nobody else is given one of them, not even while the server that has it is restarted.

    A block is held by a UDP socket on its first number: the system gives it back when the process ends, however it does.
    """

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._rest: Iterator[int] = iter(())

    def next(self) -> int:
        while (port := next(self._rest, None)) is None:
            self._rest = iter(range(first := self._take(), first + BLOCK))
        return port

    def _take(self) -> int:
        for first in range(FIRST, LAST, BLOCK):
            token = socket.socket(type=socket.SOCK_DGRAM)
            try:
                token.bind((HOST, first))
            except OSError:
                token.close()
            else:
                token.detach()  # not closed with the object, but with the process
                return first
        raise OSError(f"every port between {FIRST} and {LAST} on {HOST} belongs to a process that runs")


_blocks = _Blocks()


def free_port() -> int:
    """Return a port nobody listens on, and never the same one twice: neither to this process nor to another that runs."""
    global _blocks  # noqa: PLW0603  a forked process begins its own
    if _blocks.owner != os.getpid():
        _blocks = _Blocks()
    while not is_free(port := _blocks.next()):
        pass
    return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection that is only dying away does not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
