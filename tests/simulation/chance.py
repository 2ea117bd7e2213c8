"""Chance: the faults and their rates, drawn from the seed; some seeds are calm in one way and wild in another."""

import random  # noqa: TID251  seeded: the seed is the run
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from tests.simulation.trace import Trace

T = TypeVar("T")
RATES: dict[str, float] = {
    "statement fails": 0.0008,
    "commit refused": 0.004,
    "commit's answer lost": 0.006,
    "killed before commit": 0.002,
    "killed after commit": 0.003,
    "publish fails": 0.03,
    "publish's answer lost": 0.04,
    "publish in part": 0.03,
    "killed while publishing": 0.003,
    "read again": 0.02,
    "handed out early": 0.6,
    "two owners": 0.1,
    "hint lost": 0.2,
    "slow": 0.004,
    "sink down": 0.04,
    "sink refuses": 0.03,
    "sink says later": 0.05,
    "sink's answer lost": 0.06,
    "sink hangs": 0.04,
    "sink drops": 0.03,
    "killed while sending": 0.02,
    "a no while sending": 0.1,
    "frozen while sending": 0.06,
    "handed over late": 0.3,
    "door slams": 0.03,
}
"""How often each small thing happens at the places where it can; a seed multiplies each by 0, 1 or 4."""
_MOODS = (0.0, 1.0, 1.0, 4.0)


class Chance:
    """All of a run's randomness. `calm` ends the faults: what happens then is the healing."""

    def __init__(self, seed: int, trace: Trace) -> None:
        self.random = random.Random(seed)  # noqa: S311  not for secrets
        self.faults: Counter[str] = Counter()
        self.calm = False
        self._trace = trace
        self._rates = {kind: rate * self.random.choice(_MOODS) for kind, rate in RATES.items()}

    def hits(self, kind: str, who: str) -> bool:
        """Whether it goes wrong here and now."""
        drawn = self.random.random()
        if self.calm or drawn >= self._rates[kind]:
            return False
        self.noted(kind, who)
        return True

    def noted(self, kind: str, who: str) -> None:
        self.faults[kind] += 1
        self._trace.say("fault", who, kind)

    def one(self, of: Sequence[T]) -> T:
        return self.random.choice(of)

    def up_to(self, most: float) -> float:
        return self.random.random() * most
