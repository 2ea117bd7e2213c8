"""Replay process: the product's decoder and core over lines that stand in memory."""

import gc
from collections import Counter
from pathlib import Path

import msgspec
from peer import Job, Progress, State, done, end, job, keep, tell

from bench.stream import FEATURES, told
from services.lifecycle.core.compiled_definition import CompiledDefinition, compile_definition
from services.lifecycle.core.definition import Definition
from services.lifecycle.core.explain import snapshot_of
from services.lifecycle.core.fold import by_account, fold
from services.lifecycle.core.state import Account, begin
from shared.clock import SystemClock
from shared.contracts.lifecycle import LifecycleMessage, StageChanged
from shared.contracts.usage import UsageEvent
from shared.definitions import load

MINIMAL = Path(__file__).parent / "definitions/minimal/lifecycle.yaml"
_MOST = 50_000


def minimal() -> CompiledDefinition:
    """The definition that equals the peers' fold."""
    return compile_definition(load(MINIMAL, Definition))


def settled() -> None:
    """As the product does once it has started (waymark/commands.py)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def main(of: Job) -> None:
    """Replay, then show what every account has come to."""
    plan = minimal()
    lines = Path(of.topic).read_bytes().split(b"\n")
    settled()
    accounts, decided = _replayed(of, lines, plan)
    done()
    keep(of, {name: shown(account, plan) for name, account in accounts.items()})
    tell(of, Counter(one.account for one in decided if isinstance(one, StageChanged) and one.stage == "active"))
    end()


def _replayed(
    of: Job, lines: list[bytes], plan: CompiledDefinition
) -> tuple[dict[str, Account], list[LifecycleMessage]]:
    decode, now, progress = msgspec.json.Decoder(UsageEvent).decode, SystemClock().now(), Progress(of)
    accounts: dict[str, Account] = {}
    decided: list[LifecycleMessage] = []
    size = at_once(of)
    for start in range(0, len(lines), size):
        chunk = lines[start : start + size]
        for events in by_account(map(decode, chunk)).values():
            account = known(accounts, events[0])
            for event in events:
                decided += fold(account, event, plan, now)
        progress.some(len(chunk))
    return accounts, decided


def at_once(of: Job) -> int:
    """Events taken at once, an account's after each other, as the service takes those of a transaction."""
    return min(_MOST, of.warm)


def known(accounts: dict[str, Account], first: UsageEvent) -> Account:
    """The account of this event, begun if it is new."""
    account = accounts.get(first.account)
    if account is None:
        account = accounts[first.account] = begin(first.account, first.at)
    return account


def shown(account: Account, plan: CompiledDefinition) -> State:
    """The account as a peer would keep it."""
    metrics = snapshot_of(account, plan).metrics
    counts = {feature: int(metrics[feature] or 0) for feature in FEATURES}
    features = {feature: count for feature, count in counts.items() if count}
    return {"count": int(metrics["uses"] or 0), "last": told(account.clock), "features": features}


if __name__ == "__main__":
    main(job())
