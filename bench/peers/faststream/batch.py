"""FastStream, up to 500 messages at a time. State in memory, offsets committed by themselves."""

import asyncio
from typing import Any

from faststream import FastStream
from faststream.kafka import KafkaBroker
from peer import Progress, State, done, end, fold, job, keep, state, transition

of = job()
broker = KafkaBroker(of.bootstrap)
app = FastStream(broker)
accounts: dict[str, State] = {}
progress = Progress(of)


@broker.subscriber(of.topic, group_id=of.group, auto_offset_reset="earliest", batch=True, max_records=500)
async def some(events: list[dict[str, Any]]) -> None:
    """Fold them."""
    last = progress.some(len(events))
    for event in events:
        account = event["account"]
        kept = accounts.get(account)
        if kept is None:
            kept = accounts[account] = state()
        if fold(kept, event["properties"]["feature"], event["at"], of.threshold):
            await broker.publish(transition(account, kept), of.output)
    if last:
        done()
        keep(of, accounts)
        end()


if __name__ == "__main__":
    asyncio.run(app.run())
