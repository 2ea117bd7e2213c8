"""What came of a check? How much it looked at, and what it found wrong."""

from typing import NamedTuple

_SHOWN = 5


class Verdict(NamedTuple):
    """How many things were looked at, and which of them are wrong."""

    code: str
    promise: str
    checked: int
    broken: list[str]

    @property
    def kept(self) -> bool:
        """A check that had nothing to look at proves nothing."""
        return self.checked > 0 and not self.broken

    def __str__(self) -> str:
        state = "kept" if self.kept else "BROKEN" if self.broken else "NOTHING TO CHECK"
        first = "".join(f"\n      {one}" for one in self.broken[:_SHOWN])
        return (
            f"{self.code:>4}  {state:<8} {self.promise}: {self.checked:,} checked, {len(self.broken):,} broken{first}"
        )
