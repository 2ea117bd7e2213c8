"""Topics of Kafka: the archive is kept for ever, drift is told, a compacted topic is refused, added partitions are seen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.bus.kafka import KafkaBus
from shared.bus.protocol import Partition
from shared.bus.topic_settings import TopicSetting, missing, problem
from shared.contracts.topics import LIFECYCLE, USAGE
from shared.failures import Refused
from tests.make import eventually

WEEK = 604_800_000


def found(policy: str = "delete", kept: int = -1, size: int = -1, *, own: bool = True) -> dict[str, TopicSetting]:
    values = {"cleanup.policy": policy, "retention.ms": kept, "retention.bytes": size}
    return {name: TopicSetting(str(value), own) for name, value in values.items()}


@pytest.mark.parametrize(
    ("topic", "settings", "days", "told"),
    [
        (USAGE.name, found(), 0, ""),
        (USAGE.name, found(kept=WEEK), 0, "keeps records for 7 days, 0:00:00: set retention.ms=-1"),
        (USAGE.name, found(kept=WEEK), 7, ""),
        (USAGE.name, found(kept=WEEK), 8, "set retention.ms=691200000"),
        (USAGE.name, found(size=1000), 0, "set retention.bytes=-1"),
        (USAGE.name, found("compact,delete"), 0, "is compacted"),
        (LIFECYCLE.name, found(kept=WEEK), 0, ""),
        (LIFECYCLE.name, found(kept=WEEK - 1), 0, "set retention.ms=604800000"),
        (LIFECYCLE.name, found("compact"), 0, "is compacted"),
    ],
)
def test_what_may_be_gone_before_its_time_is_told(topic: str, settings: Any, days: int, told: str) -> None:
    text = problem(topic, settings, days)
    assert told in text
    assert bool(text) == bool(told)


def test_only_what_nobody_has_set_is_set() -> None:
    assert missing(USAGE.name, found(kept=WEEK, own=False), 0) == {"retention.ms": "-1"}
    assert missing(USAGE.name, found(kept=WEEK), 0) == {}
    assert missing(LIFECYCLE.name, found(kept=WEEK, own=False), 0) == {}


@asynccontextmanager
async def administrator(servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def set_on_topic(admin: AIOKafkaAdminClient, topic: str, **settings: str) -> None:
    configs = {name.replace("_", "."): value for name, value in settings.items()}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)])


async def told(bus: KafkaBus, problem: str) -> bool:
    """Whether the log tells this of itself: the broker answers with changed settings only after a moment."""
    found = await bus.retention_problem()
    return problem in found if problem else not found


@pytest.mark.servers
async def test_the_archive_on_kafka_is_kept_and_drift_is_told(kafka: Any) -> None:
    servers = kafka.url.removeprefix("kafka://")
    bus = KafkaBus(servers, "made.")
    await bus.open([USAGE.name, LIFECYCLE.name], 1)
    await eventually(lambda: told(bus, ""))
    async with administrator(servers) as admin:
        await set_on_topic(admin, f"made.{USAGE.name}", retention_ms=str(WEEK))
    await eventually(lambda: told(bus, "set retention.ms=-1"))
    await bus.close()


@pytest.mark.servers
async def test_a_topic_of_the_brokers_defaults_is_set_right_and_a_compacted_one_refused(kafka: Any) -> None:
    servers = kafka.url.removeprefix("kafka://")
    async with administrator(servers) as admin:
        await admin.create_topics([NewTopic(f"old.{USAGE.name}", 1, 1, topic_configs={"max.message.bytes": "2000000"})])
        compacted = {"cleanup.policy": "compact"}
        await admin.create_topics([NewTopic(f"compacted.{USAGE.name}", 1, 1, topic_configs=compacted)])
    bus = KafkaBus(servers, "old.")
    await bus.open([USAGE.name], 1)
    await eventually(lambda: told(bus, ""))
    with pytest.raises(Refused, match="is compacted"):
        await KafkaBus(servers, "compacted.").open([USAGE.name], 1)
    await bus.close()


@pytest.mark.servers
async def test_partitions_that_were_added_have_bounds_and_so_a_lag(kafka: Any) -> None:
    servers = kafka.url.removeprefix("kafka://")
    bus = KafkaBus(servers, "grown.")
    await bus.open([USAGE.name], 2)
    async with administrator(servers) as admin:
        await admin.create_partitions({f"grown.{USAGE.name}": NewPartitions(3)})

    async def grown() -> bool:
        return Partition(USAGE.name, 2) in await bus.bounds([USAGE.name])

    await eventually(grown)
    await bus.close()
