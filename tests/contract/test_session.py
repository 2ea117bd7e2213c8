"""Session timeout: after it the partitions of a process that died go to other members of its group."""

import asyncio
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.servers import Kafka
from shared.bus.kafka import KafkaBus
from shared.bus.protocol import Bounds, Partition
from shared.contracts.topics import USAGE_RAW
from shared.settings import Settings
from tests.conftest import ROOT, scaled
from tests.make import eventually, migrated_storage

MEMBER = """
import asyncio, sys
from shared.bus.kafka import KafkaBus

class Owner:
    async def on_assigned(self, partitions):
        if partitions:
            print("owns", flush=True)
        return {tp: bounds.begin for tp, bounds in partitions.items()}

    async def on_revoked(self, partitions): ...

async def main(servers, prefix, topic):
    bus = KafkaBus(servers, prefix, 2)
    await bus.open([topic], 4)
    async with bus.reader("g", [topic], Owner()) as reader:
        while True:
            await reader.poll(10, 0.5)

asyncio.run(main(*sys.argv[1:]))
"""


class Owns:
    def __init__(self) -> None:
        self.has: set[Partition] = set()

    async def on_assigned(self, partitions: dict[Partition, Bounds]) -> dict[Partition, int]:
        self.has |= partitions.keys()
        return {tp: bounds.begin for tp, bounds in partitions.items()}

    async def on_revoked(self, partitions: set[Partition]) -> None:
        self.has -= partitions


@pytest.mark.servers
async def test_a_killed_members_partitions_are_taken_over_after_its_session(
    request: pytest.FixtureRequest, tmp_path: Path, kafka: Kafka
) -> None:
    settings = scaled(request, tmp_path).model_copy(update={"session_seconds": 2})
    names = (kafka.bootstrap, settings.topic_prefix, USAGE_RAW.name)
    async with migrated_storage(settings) as opened:
        assert isinstance(opened.bus, KafkaBus)
        member = await asyncio.create_subprocess_exec(
            sys.executable, "-c", MEMBER, *names, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert member.stdout is not None
        async with asyncio.timeout(60):
            assert await member.stdout.readline() == b"owns\n"
        member.kill()
        await member.wait()
        owns, every = Owns(), opened.bus.partitions(USAGE_RAW.name)

        async def all_of_them() -> bool:
            await reader.poll(10, 0.2)
            return len(owns.has) == every

        async with opened.bus.reader("g", [USAGE_RAW.name], owns) as reader:
            await eventually(all_of_them)


@pytest.mark.parametrize("seconds", [1, 301])
def test_a_session_has_bounds(seconds: int) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"session_seconds": seconds})
