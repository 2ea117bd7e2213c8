"""Faust worker: one agent over the topic, which stops itself after the last event."""

from collections.abc import Callable, MutableMapping
from typing import Any

import faust
from peer import Job, Progress, State, done, end, fold, keep, state, transition

Table = Callable[[faust.App], MutableMapping[str, State]]


def main(of: Job, table: Table, store: str) -> None:
    """Fold in one agent, with the worker's defaults."""
    app = faust.App(
        of.group,
        broker=f"kafka://{of.bootstrap}",
        store=store,
        topic_partitions=of.partitions,
        topic_disable_leader=True,
        topic_allow_declare=bool(store != "memory://"),
        datadir=f"{of.folder}/data",
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
    )
    accounts = table(app)
    source = app.topic(of.topic, key_type=str, value_serializer="json")
    target = app.topic(of.output, value_serializer="raw")
    app.agent(source)(_agent(of, app, accounts, target))
    worker = faust.Worker(app, loglevel="WARNING")
    worker.execute_from_commandline()


def _agent(of: Job, app: faust.App, accounts: MutableMapping[str, State], target: Any) -> Any:
    progress = Progress(of)

    async def folded(events: Any) -> None:
        async for event in events:
            last = progress.one()
            account = event["account"]
            kept = accounts.get(account) or state()
            made = fold(kept, event["properties"]["feature"], event["at"], of.threshold)
            accounts[account] = kept
            if made:
                await target.send(value=transition(account, kept))
            if last:
                await _over(of, app, accounts)

    return folded


async def _over(of: Job, app: faust.App, accounts: MutableMapping[str, State]) -> None:
    await app.producer.flush()
    done()
    keep(of, dict(accounts.items()))
    end()
