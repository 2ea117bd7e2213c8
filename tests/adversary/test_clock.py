"""A server whose wall clock is a month ahead for a while: no account is carried into the future, and nothing is to repair."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import select

from shared.bus.outbox import decode_block
from shared.bus.tables import log_block
from shared.clock import SystemClock
from shared.contracts.topics import USAGE
from shared.contracts.usage import UsageEvent
from tests.adversary.product import track
from tests.conftest import Deployment
from tests.journey.services import RunningServices, run_services
from tests.make import eventually

_SERVICES = ("lifecycle", "notify", "advocacy")


class _SetClock(SystemClock):
    """The machine's clock, set wrong by `off`; `slept` is time that passed for everything here."""

    off = timedelta()
    slept = timedelta()

    def now(self) -> datetime:
        return super().now() + self.off + self.slept

    def elapsed(self) -> float:
        return super().elapsed() + self.slept.total_seconds()


async def _account(services: RunningServices) -> dict[str, Any]:
    found: dict[str, Any] = await services.get("/lifecycle/v1/accounts/acme")
    return found


async def _notices(services: RunningServices) -> list[str]:
    """What readyz of each service says of the clock; it stays ready."""
    return [(await services.get(f"/{name}/readyz"))["notices"].get("clock", "") for name in _SERVICES]


async def _timers_pass(services: RunningServices) -> None:
    """Time enough for the timers of lifecycle to look again."""
    looking = asyncio.ensure_future(services.assembly.services["lifecycle"].loops["lifecycle-timers"]())
    await asyncio.wait({looking}, timeout=4)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


async def test_a_clock_a_month_ahead_moves_no_account_and_says_so(deployment: Deployment) -> None:
    clock = _SetClock()
    async with run_services(deployment.settings, clock=clock) as services:
        headers = {"Authorization": f"Bearer {services.write_key}"}
        posted = await services.http.post("/v1/batch", json={"batch": [track("acme", "ann", "Login")]}, headers=headers)
        assert posted.status_code == 200

        async def known() -> bool:
            return (await services.http.get("/lifecycle/v1/accounts/acme")).status_code == 200

        await eventually(known)
        await services.wait_until_idle()
        assert await _notices(services) == ["", "", ""]
        before = await _account(services)
        clock.off = timedelta(days=30)
        assert all("30 days ahead" in words and "NTP" in words for words in await _notices(services))
        await _timers_pass(services)
        assert (await _account(services))["clock"] == before["clock"]
        clock.off = timedelta()
        assert await _notices(services) == ["", "", ""]
        if deployment.settings.embedded:
            clock.slept = timedelta(days=2)

            async def gone_on() -> bool:
                return bool((await _account(services))["clock"] > before["clock"])

            await eventually(gone_on)


async def _post(services: RunningServices, *names: str) -> None:
    headers = {"Authorization": f"Bearer {services.write_key}"}
    batch = {"batch": [track("acme", "ann", name) for name in names]}
    posted = await services.http.post("/v1/batch", json=batch, headers=headers)
    assert posted.status_code == 200, posted.text


async def _archive(services: RunningServices) -> list[UsageEvent]:
    statement = select(log_block.c.block).where(log_block.c.topic == USAGE.name)
    async with services.assembly.contexts["ingest"].database.snapshot() as read:
        blocks = [row.block for row in await read.all(statement)]
    return [msgspec.json.decode(one.value, type=UsageEvent) for block in blocks for one in decode_block(block)]


async def _counted(services: RunningServices, *names: str) -> None:
    """Until the account's history holds these uses."""

    async def there() -> bool:
        answer = await services.http.get("/ingest/v1/parked")
        assert answer.json()["items"] == []
        return {*names} <= {event.name for event in await _archive(services)}

    await eventually(there)
    await services.wait_until_idle()


async def test_one_start_a_month_ahead_leaves_nobody_in_the_future(deployment: Deployment) -> None:
    right, ahead = _SetClock(), _SetClock()
    ahead.off = timedelta(days=30)
    async with run_services(deployment.settings, clock=right) as services:
        await _post(services, "Login")
        await _counted(services, "Login")
        before = await _account(services)
    async with run_services(deployment.settings, clock=ahead) as services:
        await _post(services, "Meanwhile")
        await _timers_pass(services)
        assert all("30 days ahead" in words for words in await _notices(services))
        found = await services.http.get("/lifecycle/v1/accounts/acme")
        assert datetime.fromisoformat(found.json()["clock"]) < right.now() + timedelta(minutes=5)
    async with run_services(deployment.settings, clock=right) as services:
        assert await _notices(services) == ["", "", ""]
        await _post(services, "Afterwards")
        await _counted(services, "Login", "Meanwhile", "Afterwards")
        account = await _account(services)
        assert before["clock"] < account["clock"]
        assert datetime.fromisoformat(account["clock"]) < right.now() + timedelta(minutes=5)
        meanwhile = next(one for one in await _archive(services) if one.name == "Meanwhile")
        assert meanwhile.received_at < right.now()
        assert meanwhile.stamped_at is not None, "what the clock said is kept"
        assert meanwhile.stamped_at > right.now() + timedelta(days=29)


async def test_what_comes_in_while_the_clock_has_jumped_is_counted_at_once(deployment: Deployment) -> None:
    clock = _SetClock()
    async with run_services(deployment.settings, clock=clock) as services:
        await _post(services, "Login")
        await _counted(services, "Login")
        clock.off = timedelta(days=30)
        await _post(services, "Meanwhile")
        await _counted(services, "Login", "Meanwhile")
        clock.off = timedelta()
        assert datetime.fromisoformat((await _account(services))["clock"]) < clock.now() + timedelta(minutes=5)
        corrected = await services.get("/ingest/v1/corrected-times")
        assert [one["count"] for one in corrected["items"]] == [1]
