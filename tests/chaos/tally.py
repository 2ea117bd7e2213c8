"""How many faults of each kind have struck? Only what happened counts, not what was planned."""

from collections import Counter


class Tally:
    """Counts, by kind."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()

    def struck(self, kind: str) -> None:
        self.kinds[kind] += 1

    @property
    def total(self) -> int:
        return self.kinds.total()

    def __str__(self) -> str:
        return ", ".join(f"{kind} {count}" for kind, count in sorted(self.kinds.items()))

    def table(self, minutes: float) -> str:
        rows = [f"{count:6}  {count / minutes:6.1f}  {kind}" for kind, count in self.kinds.most_common()]
        last = f"{self.total:6}  {self.total / minutes:6.1f}  all"
        return "\n".join([" count  a minute  fault", *rows, last])
