"""Log identity: a log that was recreated, or truncated and filled anew, halts the consumer."""

from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from msgspec.structs import replace
from sqlalchemy import delete, update

from shared.bus.protocol import ProducerRecord, Record
from shared.bus.tables import consumer_cursor, log_block, log_end
from shared.contracts.topics import USAGE_RAW
from shared.failures import Halted
from shared.service.ownership import fingerprint
from shared.storage import Storage
from tests.conftest import Deployment, scaled
from tests.contract.effects import Effects, consumer, ids, prepare, publish, run_until_it_fails, until
from tests.make import eventually, migrated_storage

READ = 40


@pytest.fixture
async def deployment(deployment: Deployment) -> Deployment:
    """A deployment in which a group has read forty records."""
    async with migrated_storage(deployment.settings) as opened:
        await prepare(opened)
        await publish(opened, 0, READ)
        await until(opened, READ, consumer(opened, Effects()))
    return deployment


async def made_anew(deployment: Deployment) -> None:
    if deployment.name == "embedded":
        async with migrated_storage(deployment.settings) as opened, opened.database.transaction() as tx:
            await tx.run(delete(log_block))
            await tx.run(delete(log_end))
        return
    async with admin_of(deployment) as admin:
        topic = deployment.settings.topic_prefix + USAGE_RAW.name
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await eventually(gone)


class admin_of:  # noqa: N801  a context manager, used like a function
    def __init__(self, deployment: Deployment) -> None:
        servers = (deployment.settings.bus_url or "").removeprefix("kafka://")
        self._admin = AIOKafkaAdminClient(bootstrap_servers=servers)

    async def __aenter__(self) -> AIOKafkaAdminClient:
        await self._admin.start()
        return self._admin

    async def __aexit__(self, *_error: object) -> None:
        await self._admin.close()


async def publish_others(opened: Storage, first: int, last: int) -> None:
    """Other records with the same keys, so that every partition gets as many."""
    others = [ProducerRecord(str(n).encode(), f"w-{n + 1000}".encode()) for n in range(first, last)]
    await opened.bus.publish(USAGE_RAW.name, others)


async def test_the_same_log_is_read_on(deployment: Deployment) -> None:
    async with migrated_storage(deployment.settings) as opened:
        await publish(opened, READ, READ + 20)
        await until(opened, READ + 20, consumer(opened, Effects(), "two"))
        assert await ids(opened) == list(range(READ + 20))


@pytest.mark.parametrize("more", [0, 60])
async def test_a_log_made_anew_and_filled_with_others_halts_the_reader(deployment: Deployment, more: int) -> None:
    await made_anew(deployment)
    async with migrated_storage(deployment.settings) as opened:
        await publish_others(opened, 0, READ + more)
        with pytest.raises(Halted, match=r"not the one that was read.*made anew.*docs/operations.md"):
            await run_until_it_fails(consumer(opened, Effects(), "two"))
        assert await ids(opened) == list(range(READ)), "nothing of the other log was taken"


async def test_a_log_made_anew_and_shorter_halts_the_reader(deployment: Deployment) -> None:
    await made_anew(deployment)
    async with migrated_storage(deployment.settings) as opened:
        with pytest.raises(Halted, match="made anew"):
            await run_until_it_fails(consumer(opened, Effects(), "two"))


@pytest.mark.parametrize("cursor", [{"last_fingerprint": None}, {"next_offset": 3, "next_sequence": -1}])
async def test_a_cursor_without_a_hash_or_moved_by_hand_is_believed(
    deployment: Deployment, cursor: dict[str, object]
) -> None:
    """As the cursors of the first version are, and as an operator goes on after a halt."""
    await made_anew(deployment)
    async with migrated_storage(deployment.settings) as opened:
        await publish_others(opened, 0, READ + 60)
        async with opened.database.transaction() as tx:
            await tx.run(update(consumer_cursor).values(cursor))
        reread = READ - 3 * opened.bus.partitions(USAGE_RAW.name) if "next_offset" in cursor else 0
        await until(opened, READ + 60 + reread, consumer(opened, Effects(), "two"))


@pytest.mark.servers
@pytest.mark.parametrize(("left", "halts"), [(0, False), (5, True)])
async def test_retention_shorter_than_the_outage_halts_but_a_log_that_only_forgot_what_was_read_does_not(
    request: pytest.FixtureRequest, tmp_path: Path, left: int, halts: bool
) -> None:
    one = Deployment("scaled", scaled(request, tmp_path))
    async with migrated_storage(one.settings) as opened:
        await prepare(opened)
        same = [ProducerRecord(b"k", f"w-{n}".encode()) for n in range(30)]
        await opened.bus.publish(USAGE_RAW.name, same[:10])
        await until(opened, 10, consumer(opened, Effects()))
        await opened.bus.publish(USAGE_RAW.name, same[10:])
        bounds = await opened.bus.bounds([USAGE_RAW.name])
        [part] = [tp.number for tp, bound in bounds.items() if bound.end]
        here = TopicPartition(one.settings.topic_prefix + USAGE_RAW.name, part)
        async with admin_of(one) as admin:
            await admin.delete_records({here: RecordsToDelete(before_offset=10 + left)})
        second = consumer(opened, Effects(), "two")
        if halts:
            with pytest.raises(Halted, match=r"at 10 of .* which holds 15 to 30"):
                await run_until_it_fails(second)
        else:
            await until(opened, 30, second)


def test_every_field_of_a_record_is_in_its_fingerprint() -> None:
    one = Record(7, 3, 1000, b"key", b"value", b"meta")
    others = [
        replace(one, sequence=4),
        replace(one, timestamp=1001),
        replace(one, key=b"keyv", value=b"alue"),
        replace(one, value=b"valuem", meta=b"eta"),
        replace(one, meta=b""),
    ]
    assert len({fingerprint(record) for record in [one, *others]}) == 6
