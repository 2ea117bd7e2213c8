"""Ports of this machine that a server may have."""

import os
import socket

HOST = "127.0.0.1"
# Below the range that systems give to outgoing connections: a client that knocks on a server which is just being
# restarted could otherwise be given the server's own port, and keep it.
FIRST, LAST = 20_000, 32_000
SPREAD = 16  # neighbours start apart: test workers with following process ids rarely look at the same port

_given: set[int] = set()


def free_port() -> int:
    """Return a port nobody listens on, and never the same one twice in a process."""
    start = os.getpid() * SPREAD
    for step in range(LAST - FIRST):
        port = FIRST + (start + step) % (LAST - FIRST)
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    msg = f"no free port between {FIRST} and {LAST} on {HOST}"
    raise OSError(msg)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection that is only dying away does not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
