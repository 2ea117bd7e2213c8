"""Quix Streams without its state: a stateless step over a dict in memory, so a crash loses the counts."""

from typing import Any

from peer import State, fold, job, state
from running import run

of = job()
accounts: dict[str, State] = {}


def step(event: dict[str, Any]) -> dict[str, Any] | None:
    """Fold one event; what is told, if its account makes its transition."""
    account = event["account"]
    kept = accounts.get(account)
    if kept is None:
        kept = accounts[account] = state()
    if fold(kept, event["properties"]["feature"], event["at"], of.threshold):
        return {"account": account, "count": kept["count"], "at": kept["last"]}
    return None


if __name__ == "__main__":
    run(of, lambda stream: stream.apply(step), lambda: accounts, changelog=False)
