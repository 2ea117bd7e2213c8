"""A database that a newer version has used is refused at start, and told by readyz when it happens later."""

import asyncio

import pytest

from shared.clock import SystemClock
from shared.settings import Settings
from tests.conftest import Deployment
from tests.contract.house.databases import execute
from tests.journey.services import RunningServices, run_services
from waymark import compatibility, migrations
from waymark.assembly import assembled
from waymark.migrations import OWNERS, NewerDatabase

NEWER_REVISION = "UPDATE notify_version SET version_num = '9999'"
NEWER_LAYOUT = "UPDATE stored_layout SET layout = 99 WHERE name = 'notify_account.state'"
SAID = {
    NEWER_REVISION: "the tables of notify are of revision 9999, this version knows up to 00",
    NEWER_LAYOUT: "notify_account.state has layout 99, this version knows up to 2",
}
pytestmark = pytest.mark.parametrize("newer", SAID)


def migrated(settings: Settings) -> None:
    compatibility.migrate(settings, list(OWNERS))


async def test_a_start_is_refused_and_nothing_is_changed(deployment: Deployment, newer: str) -> None:
    settings = deployment.settings
    await asyncio.to_thread(migrated, settings)
    await asyncio.to_thread(execute, settings.database, "notify", newer)

    with pytest.raises(NewerDatabase, match=SAID[newer]):
        async with assembled(settings, ["notify"], SystemClock()):
            pass


async def test_migrating_is_refused_and_the_other_tables_stay_as_they_are(deployment: Deployment, newer: str) -> None:
    settings = deployment.settings
    await asyncio.to_thread(migrated, settings)
    await asyncio.to_thread(execute, settings.database, "notify", newer)
    await asyncio.to_thread(execute, settings.database, "advocacy", "DELETE FROM advocacy_version")

    with pytest.raises(NewerDatabase, match=SAID[newer]):
        await asyncio.to_thread(migrated, settings)

    assert "advocacy" in await asyncio.to_thread(migrations.pending, settings, list(OWNERS))


async def test_readyz_says_that_a_newer_version_came_meanwhile(deployment: Deployment, newer: str) -> None:
    settings = deployment.settings
    async with run_services(settings, ["notify"]) as on:
        assert await checks(on) == (200, {"ok"})
        await asyncio.to_thread(execute, settings.database, "notify", newer)
        status, said = await checks(on)

    assert status == 503
    assert any(SAID[newer] in problem and "run the version of Waymark that wrote it" in problem for problem in said)


async def checks(on: RunningServices) -> tuple[int, set[str]]:
    answer = await on.http.get("/notify/readyz")
    found = answer.json()["checks"]
    return answer.status_code, {found["migrations"], found["layouts"]}
