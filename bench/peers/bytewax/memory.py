"""Bytewax over lines that stand in memory, a thousand at a time: the same step as over Kafka."""

from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from folding import Event, decode
from peer import Progress, State, done, end, fold, job, keep, state, tell

of = job()
accounts: dict[str, State] = {}
told: list[str] = []
progress = Progress(of)


def _keyed(line: bytes) -> tuple[str, Event]:
    progress.one()
    event = decode(line)
    return event.account, event


def _step(kept: State | None, event: Event) -> tuple[State, str | None]:
    if kept is None:
        kept = accounts[event.account] = state()
    made = fold(kept, event.properties.feature, event.at, of.threshold)
    return kept, event.account if made else None


def _made(item: tuple[str, str | None]) -> str | None:
    return item[1]


lines = Path(of.topic).read_bytes().split(b"\n")
flow = Dataflow("fold")
read = op.input("read", flow, TestingSource(lines, batch_size=1_000))
folded = op.stateful_map("fold", op.map("decode", read, _keyed), _step)
op.output("tell", op.filter_map("made", folded, _made), TestingSink(told))

if __name__ == "__main__":
    run_main(flow, epoch_interval=timedelta(seconds=10))
    done()
    keep(of, accounts)
    tell(of, {account: told.count(account) for account in told})
    end()
