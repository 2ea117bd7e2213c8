"""Do so many records fail that not the records are at fault? Then a bad deploy would drain the topic into a table."""

from collections.abc import Iterable
from typing import NamedTuple

IN_A_ROW = 50
OF_THE_LAST = 1000
MOST = OF_THE_LAST // 20
"""Five in a hundred."""


class TooMany(Exception):  # noqa: N818  not a failure yet: the passage looks for the record that is one too many
    """The record is one more than may fail."""


class Failed(NamedTuple):
    """The offsets of one partition's latest failures, oldest first."""

    offsets: tuple[int, ...] = ()

    def plus(self, offsets: Iterable[int]) -> "Failed":
        """With these failures too, in order; one that failed before counts once. Raises TooMany."""
        known = list(self.offsets)
        for offset in offsets:
            if not known or offset > known[-1]:
                known = [*(other for other in known if other > offset - OF_THE_LAST), offset]
                _check(known)
        return Failed(tuple(known))


def _check(known: list[int]) -> None:
    row = known[-IN_A_ROW:]
    if len(known) > MOST or (len(row) == IN_A_ROW and row[-1] - row[0] == IN_A_ROW - 1):
        raise TooMany
