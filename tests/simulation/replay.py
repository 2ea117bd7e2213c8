"""Replay: every account made once more from the journal and the archive alone, by the pure core and by `waymark replay`."""

from functools import cache
from pathlib import Path

from services.advocacy.replay import AdvocacyReplay
from services.lifecycle.replay import LifecycleReplay
from services.lifecycle.wiring import load_definition
from shared.bus.archive import Archive
from shared.bus.outbox import LogOutbox
from shared.bus.producer import partition_of
from shared.contracts.topics import TOPICS as EVERY_TOPIC
from shared.db.sqlite import SqliteDatabase
from shared.service.replay import Replays, compare, replay
from tests.chaos.evidence import Replayed
from tests.chaos.replay import Midnights, states_again, states_as_they_are
from tests.simulation.database_templates import DatabaseTemplates
from tests.simulation.deployment import PARTS, SERVICES, SimulatedDeployment
from tests.simulation.host import SETTINGS

_definition = cache(lambda: load_definition(SETTINGS))


async def replayed(
    deployment: SimulatedDeployment, templates: DatabaseTemplates, folder: Path
) -> tuple[dict[str, Replayed], Midnights]:
    """Message by message under a clock that stands still, so that neither the cuts nor the wall clock may matter; then as it was."""
    archive = Archive(
        {topic.name: deployment.server(topic.producer).file for topic in EVERY_TOPIC if topic.producer is not None}
    )
    async with deployment.server("lifecycle").file.snapshot() as read:
        live = await states_as_they_are(read)
        again, midnights = await states_again(read, archive, _definition())
    found = {name: Replayed(live.get(name, ""), again.get(name, "")) for name in sorted(live | again)}
    return found | await _by_the_product(deployment, archive, templates, folder), midnights


async def _by_the_product(
    deployment: SimulatedDeployment, archive: Archive, templates: DatabaseTemplates, folder: Path
) -> dict[str, Replayed]:
    partitions = 1 if deployment.embedded else PARTS

    def placed(account: str) -> int:
        return partition_of(account.encode(), partitions)

    copy = SqliteDatabase(templates.copy(SERVICES, folder / "again.db"), LogOutbox(lambda _: 1, deployment.clock))
    services: dict[str, Replays] = {"lifecycle": LifecycleReplay(placed), "advocacy": AdvocacyReplay(placed)}
    found = dict[str, Replayed]()
    try:
        for name, service in services.items():
            async with deployment.server(name).file.snapshot() as read:
                _, floors = await replay(read, archive, copy, service)
                async with copy.snapshot() as again:
                    compared = await compare(read, again, service, floors)
            found[f"{name} as it was"] = Replayed("", "")
            for one in compared.differing:
                found[f"{name}: {one.account}: {one.where}"] = Replayed(repr(one.live)[:200], repr(one.again)[:200])
    finally:
        await copy.close()
    return found
