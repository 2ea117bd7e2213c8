"""Trace: a numbered list of what happened, which the same seed gives again, word for word."""

from collections import Counter
from collections.abc import Callable
from hashlib import sha256


class Trace:
    """`now` tells the loop's time. The digest is of every line."""

    def __init__(self, now: Callable[[], float], show: bool = False) -> None:
        self.lines: list[str] = []
        self.kinds: Counter[str] = Counter()
        self._now = now
        self._show = show

    def say(self, kind: str, who: str, what: str = "") -> None:
        self.kinds[kind] += 1
        line = f"{len(self.lines):6} {self._now():12.6f} {who:16} {kind} {what}".rstrip()
        self.lines.append(line)
        if self._show:
            print(line)  # noqa: T201  asked for on the command line

    def digest(self) -> str:
        return sha256("\n".join(self.lines).encode()).hexdigest()
