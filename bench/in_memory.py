"""Runner `ours-unkept`: aiokafka, our decoder and our core over a dict, without storage; a fair peer of Bytewax."""

import asyncio
from collections.abc import Callable, Iterable, Iterator

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from peer import Job, Progress, done, end, job, keep, transition

from bench.replay import at_once, known, minimal, settled, shown
from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.fold import by_account, fold
from services.lifecycle.core.state import Account
from shared.clock import SystemClock
from shared.contracts.lifecycle import LifecycleMessage, StageChanged
from shared.contracts.usage import UsageEvent

Accounts = dict[str, Account]


async def main(of: Job, plan: CompiledDefinition) -> None:
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


async def _folded(
    of: Job, plan: CompiledDefinition, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer
) -> Accounts:
    progress, accounts, last = Progress(of), Accounts(), False
    folded = _folding(plan, accounts)
    while not last:
        found = await consumer.getmany(timeout_ms=500, max_records=at_once(of))
        last = progress.some(sum(map(len, found.values())))
        for told in folded(record.value for records in found.values() for record in records):
            if isinstance(told, StageChanged) and told.stage == "active":
                await producer.send(of.output, transition(told.account, shown(accounts[told.account], plan)))
    done()
    return accounts


def _folding(plan: CompiledDefinition, accounts: Accounts) -> Callable[[Iterable[bytes]], Iterator[LifecycleMessage]]:
    decode, now = msgspec.json.Decoder(UsageEvent).decode, SystemClock().now()

    def folded(values: Iterable[bytes]) -> Iterator[LifecycleMessage]:
        for events in by_account(map(decode, values)).values():
            account = known(accounts, events[0])
            for event in events:
                yield from fold(account, event, plan, now)

    return folded


if __name__ == "__main__":
    compiled = minimal()
    settled()
    asyncio.run(main(job(), compiled))
