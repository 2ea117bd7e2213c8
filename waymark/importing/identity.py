"""Which event is this line? An id from its content and from how often the same line came before.

Equal lines stay separate events, and a second reading gives every line its id again. Equal lines bear equal times, so while
an account's lines come in order only the lines of its latest moment are remembered. Memory grows with the
accounts (about 400 bytes each) and with late lines (about 150 bytes each), not with the file.
"""

import hashlib
from datetime import datetime

from shared.ids import derived


class Identity:
    """Names lines, in the order of the file."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[datetime, dict[bytes, int]]] = {}
        self._late: dict[bytes, int] = {}

    def comes_late(self, account: str, at: datetime) -> bool:
        """Does it come after a line of the same account with a later time? To be asked once a line, before its name."""
        newest, _ = self._latest.get(account, (None, {}))
        if newest is None or at > newest:
            self._latest[account] = at, {}
        return newest is not None and at < newest

    def name(self, account: str, content: bytes, *, late: bool) -> str:
        """The line's id. Late lines count apart: the moment they belong to is forgotten."""
        digest = hashlib.blake2b(content.strip(), digest_size=16).digest()
        if late:
            return derived("line", digest.hex(), "late", _count(self._late, digest))
        return derived("line", digest.hex(), _count(self._latest[account][1], digest))


def _count(seen: dict[bytes, int], digest: bytes) -> int:
    seen[digest] = seen.get(digest, -1) + 1
    return seen[digest]
