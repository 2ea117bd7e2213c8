"""Protocol and fold of every Python peer. Nothing but the standard library: each runs in its own venv."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

State = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """Read the `events` of `topic`, the first `warm` before any clock, fold them by account, write each account that reaches `threshold` to `output`."""

    bootstrap: str
    topic: str
    partitions: int
    events: int
    warm: int
    threshold: int
    group: str
    output: str
    folder: str
    database: str


def job() -> Job:
    """The job, as the bench gives it: one JSON argument, out of sight of frameworks that read arguments themselves."""
    return Job(**json.loads(os.environ["BENCH_JOB"]))


def state() -> State:
    """An account nobody has heard of."""
    return {"count": 0, "last": "", "features": {}}


def fold(kept: State, feature: str, at: str, threshold: int) -> bool:
    """One event more; whether the account makes its transition now."""
    kept["count"] += 1
    kept["last"] = max(kept["last"], at)
    features = kept["features"]
    features[feature] = features.get(feature, 0) + 1
    return bool(kept["count"] == threshold)


def transition(account: str, kept: State) -> bytes:
    """What is told of an account that made it."""
    return json.dumps({"account": account, "count": kept["count"], "at": kept["last"]}).encode()


def began(seen: int) -> None:
    """Everything is warm: the bench reads its clocks when it hears this."""
    _tell(f"began {seen}")


def done() -> None:
    """The last event is folded, and whatever this runner promises to keep is kept. Waits until the clocks were read."""
    _tell("done")
    sys.stdin.readline()


def keep(of: Job, accounts: dict[str, State]) -> None:
    """Leave the end state where the bench looks for it."""
    Path(of.folder, "state.json").write_text(json.dumps(accounts), encoding="utf8")


def tell(of: Job, transitions: dict[str, int]) -> None:
    """Leave what was told there too, where there is no topic to tell it to."""
    Path(of.folder, "told.json").write_text(json.dumps(transitions), encoding="utf8")


def end() -> None:
    """End at once: some frameworks take half a minute to say goodbye."""
    os._exit(0)


class Progress:
    """Counts events, tells when it is warm, and knows the last."""

    def __init__(self, of: Job) -> None:
        self.seen = 0
        self._events = of.events
        self._warm = of.warm

    def one(self) -> bool:
        """One event is in hand; whether it is the last."""
        return self.some(1)

    def some(self, count: int) -> bool:
        """So many are in hand."""
        before = self.seen
        self.seen += count
        if before < self._warm <= self.seen:
            began(self.seen)
        return self.seen >= self._events


def _tell(what: str) -> None:
    """To the file descriptor: Faust makes log lines of what is printed."""
    os.write(1, f"{what}\n".encode())
