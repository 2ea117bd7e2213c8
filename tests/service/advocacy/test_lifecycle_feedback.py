"""Lifecycle takes an answer from `advocacy.v1`, and its echo stays one answer."""

from typing import Any

import msgspec

from services.advocacy.tables import answer
from shared.bus.protocol import ProducerRecord
from shared.contracts.advocacy import OutreachRequested
from shared.contracts.topics import USAGE
from shared.contracts.usage import UsageEvent
from tests.conftest import Deployment
from tests.core.advocacy.make import day
from tests.make import eventually, usage_event
from tests.service.advocacy.make import RunningAdvocacy, running_advocacy


def event(number: float, kind: Any, name: str = "", **properties: Any) -> UsageEvent:
    return usage_event(f"e{number}{kind}", type=kind, name=name, at=day(number), user="ann", properties=properties)


async def use(advocacy: RunningAdvocacy, *events: UsageEvent) -> None:
    records = [ProducerRecord(one.account.encode(), msgspec.json.encode(one)) for one in events]
    await advocacy.services.assembly.contexts["advocacy"].bus.publish(USAGE.name, records)
    await advocacy.services.wait_until_idle()


async def test_lifecycle_sees_the_latest_answer_and_its_echo_is_not_counted(deployment: Deployment) -> None:
    async with running_advocacy(deployment.settings, 61, ["lifecycle", "advocacy"]) as advocacy:
        await use(advocacy, event(0, "identify", email="ann@acme.example"), event(61, "track", "login"))

        async def asked() -> bool:
            return bool(await advocacy.published(OutreachRequested))

        await eventually(asked)
        (request,) = await advocacy.published(OutreachRequested)
        for score in (2, 9):
            await advocacy.post(request.link, score=score)
        await advocacy.services.wait_until_idle()
        metrics = (await advocacy.services.get("/lifecycle/v1/accounts/acme"))["metrics"]
        assert metrics["nps"] == 9
        echoes = await advocacy.services.pages("/lifecycle/v1/accounts/acme/history", kind="fact_observed")
        assert [one["properties"]["score"] for one in echoes] == [9, 2]
        assert [(row.score, row.imported) for row in await advocacy.rows(answer)] == [(9, False)]
