"""What would our fold cost over Kafka if nothing were kept? aiokafka, our decoder, our core, a dict: what Bytewax is fairly beside."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from peer import Job, Progress, done, end, job, keep, transition

from bench.replay import minimal, settled, shown
from services.lifecycle.core.fold import fold
from services.lifecycle.core.plan import Plan
from services.lifecycle.core.state import Account, begin
from shared.clock import SystemClock
from shared.contracts.lifecycle import StageChanged
from shared.contracts.usage import UsageEvent

Accounts = dict[str, Account]


async def main(of: Job, plan: Plan) -> None:
    """Read everything once."""
    consumer = AIOKafkaConsumer(
        of.topic,
        bootstrap_servers=of.bootstrap,
        group_id=of.group,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    producer = AIOKafkaProducer(bootstrap_servers=of.bootstrap)
    await consumer.start()
    await producer.start()
    accounts = await _folded(of, plan, consumer, producer)
    await producer.stop()
    keep(of, {name: shown(account, plan) for name, account in accounts.items()})
    end()


async def _folded(of: Job, plan: Plan, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> Accounts:
    progress, accounts = Progress(of), Accounts()
    one, last = _folding(plan, accounts), False
    while not last:
        found = await consumer.getmany(timeout_ms=500, max_records=5_000)
        last = progress.some(sum(map(len, found.values())))
        for record in (record for records in found.values() for record in records):
            for told in one(record.value):
                if isinstance(told, StageChanged) and told.stage == "active":
                    await producer.send(of.output, transition(told.account, shown(accounts[told.account], plan)))
    done()
    return accounts


def _folding(plan: Plan, accounts: Accounts) -> Callable[[bytes], list[Any]]:
    decode, now = msgspec.json.Decoder(UsageEvent).decode, SystemClock().now()

    def one(value: bytes) -> list[Any]:
        event = decode(value)
        account = accounts.get(event.account)
        if account is None:
            account = accounts[event.account] = begin(event.account, event.at)
        return fold(account, event, plan, now)

    return one


if __name__ == "__main__":
    compiled = minimal()
    settled()
    asyncio.run(main(job(), compiled))
