"""Topic settings on Kafka: how long records are kept. The archive is kept for ever, and nothing is compacted away.

A topic that was made with the broker's defaults (seven days) is set right at start; one that somebody has set to less is
a problem that readyz tells, and one that is compacted is refused: it would forget all but the last event of an account.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.contracts.topics import USAGE
from shared.failures import Retry

OTHERS = timedelta(days=7)
"""So long at least are the topics kept that are no archive: as long as a reader may be down."""
_RETENTION, _SIZE, _POLICY = "retention.ms", "retention.bytes", "cleanup.policy"
_FOR_EVER = -1
_SET_ON_THE_TOPIC = 1
"""Kafka's number for a setting of the topic itself; others are the broker's, or defaults."""


class TopicSetting(NamedTuple):
    """A setting as it holds for a topic; `own` where it was set on the topic itself."""

    value: str
    own: bool


TopicSettings = Mapping[str, TopicSetting]


def wanted(topic: str, archive_days: int) -> dict[str, str]:
    """The settings with which this topic is made. `archive_days` 0 keeps the archive for ever."""
    if topic != USAGE.name:
        return {_POLICY: "delete"}
    return {_POLICY: "delete", _SIZE: str(_FOR_EVER), _RETENTION: str(_least_ms(topic, archive_days))}


def missing(topic: str, found: TopicSettings, archive_days: int) -> dict[str, str]:
    """What nobody has set on this topic, and the broker's default says otherwise."""
    return {
        name: value
        for name, value in wanted(topic, archive_days).items()
        if name != _POLICY and not found[name].own and found[name].value != value
    }


def problem(topic: str, found: TopicSettings, archive_days: int) -> str:
    """Why records of this topic may be gone before their time; empty when they are kept."""
    least, kept = _least_ms(topic, archive_days), int(found[_RETENTION].value)
    if is_compacted(found):
        return f"{topic} is compacted: only the last record of an account would stay; set cleanup.policy=delete"
    if kept != _FOR_EVER and (least == _FOR_EVER or kept < least):
        return f"{topic} keeps records for {timedelta(milliseconds=kept)}: set retention.ms={least}"
    if topic == USAGE.name and int(found[_SIZE].value) != _FOR_EVER:
        return f"{topic} keeps {found[_SIZE].value} bytes a partition: set retention.bytes=-1"
    return ""


def is_compacted(found: TopicSettings) -> bool:
    """Whether older records of a key are removed."""
    return "compact" in found[_POLICY].value


async def describe(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, dict[str, TopicSetting]]:
    """Every setting of these topics, whole names. Raises Retry where the broker does not tell them."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    found: dict[str, dict[str, TopicSetting]] = {}
    for answer in await admin.describe_configs(resources):
        for code, message, _, topic, entries in answer.resources:
            if code:
                raise Retry(f"Kafka does not tell the settings of {topic}: error {code} {message}")
            found[topic] = {entry[0]: TopicSetting(entry[1] or "", entry[3] == _SET_ON_THE_TOPIC) for entry in entries}
    return found


async def change(admin: AIOKafkaAdminClient, topic: str, found: TopicSettings, changes: dict[str, str]) -> None:
    """Set these on the topic, beside those that it has: Kafka takes them all at once. Raises Retry where it will not."""
    own = {name: setting.value for name, setting in found.items() if setting.own}
    resource: Any = ConfigResource(ConfigResourceType.TOPIC, topic, configs=own | changes)
    for answer in await admin.alter_configs([resource]):
        for code, message, *_ in answer.resources:
            if code:
                raise Retry(f"Kafka will not change the settings of {topic}: error {code} {message}")


def _least_ms(topic: str, archive_days: int) -> int:
    if topic != USAGE.name:
        return int(OTHERS.total_seconds() * 1000)
    return archive_days * 86_400_000 if archive_days else _FOR_EVER
