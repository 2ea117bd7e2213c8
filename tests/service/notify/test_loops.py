"""The running service: messages in the log lead to mail, with only the loops at work."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.notify.wiring import build, definition
from shared.bus.protocol import ProducerRecord
from shared.contracts.topics import LIFECYCLE
from shared.definitions import DefinitionError
from shared.settings import Settings
from tests.conftest import Deployment
from tests.make import eventually
from tests.service.notify.doors import Mailbox, mail_server
from tests.service.notify.make import Customer, Office, defined_in, office


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


@pytest.fixture
async def here(deployment: Deployment, box: Mailbox) -> AsyncIterator[Office]:
    async with mail_server(box) as port, office(deployment.settings, port) as made:
        await made.live()
        yield made


async def test_the_log_leads_to_a_mail(here: Office, box: Mailbox) -> None:
    service = build(here.context, defined_in(here.context.settings.config))
    for name in ("acme", "beta"):
        records = [ProducerRecord(name.encode(), msgspec.json.encode(message)) for message in Customer(name).begin()]
        await here.context.bus.publish(LIFECYCLE.name, records)
    work = [*(consumer.run for consumer in service.consumers), *service.loops.values()]
    tasks = [asyncio.ensure_future(one()) for one in work]

    async def arrived() -> bool:
        assert not [task for task in tasks if task.done() and task.exception()]
        return len(box.mails) == 2 and {row["status"] for row in await here.rows()} == {"sent"}

    try:
        await eventually(arrived)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_a_mistake_in_a_play_is_told_with_its_line(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    config = request.config.rootpath / "config"
    broken = Settings(config=_copied(config, tmp_path))
    play = broken.config / "plays" / "welcome.yaml"
    play.write_text(play.read_text("utf8").replace("welcome_hello,", "welcom_hello,"), "utf8")
    with pytest.raises(DefinitionError) as told:
        definition(broken)
    assert "welcome.yaml" in str(told.value)
    assert any(mistake.line > 1 for mistake in told.value.mistakes)


def _copied(config: Path, to: Path) -> Path:
    return Path(shutil.copytree(config, to / "config"))
