"""Two topics at different speeds: what waits is kept in rows, taken in its order, and not waited for for ever."""

import shutil
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from sqlalchemy import func, select

from services.advocacy.core.invitations import Addresses
from services.advocacy.handlers import Handlers
from services.notify.handlers.waiting import WaitsInVain
from services.notify.tables import waiting
from services.notify.waiting import LONGEST, Patience
from shared.contracts.advocacy import OutreachRequested
from shared.contracts.topics import ADVOCACY, LIFECYCLE
from shared.links import Links
from shared.service.processor import MessageBatch
from shared.settings import Settings
from tests.conftest import Deployment
from tests.core.advocacy.make import LOADED, Story, day
from tests.make import FakeClock, migrated_storage
from tests.service.notify.make import MONDAY, Office, office

LONG = 3600.0
CONFIG = Path(__file__).parents[3] / "config"


def settings(folder: Path, name: str) -> Settings:
    return Settings(data=folder / name, config=CONFIG)


def the_past() -> list[Any]:
    """Two years of two accounts, merged as one import tells them; then the wall clock takes over."""
    told = [*_account("acme"), *_account("globex")]
    return sorted(told, key=lambda one: (one.at, one.account, one.seq))


def _account(name: str) -> Iterable[Any]:
    story = Story(name, history=True).stage(0, "onboarding")
    for number in range(4):
        story.contact(number, f"{name}{number}", f"u{number}@{name}.example")
    story.stage(30, "adoption").stage(120, "retention").signal(200, "usage_drop").signal(260, "renewal_120")
    for number in range(14):
        story.signal(300 + 28 * number, "quiet")
    *past, last = story.clock(720, live=True).messages
    return [*past, replace(last, history=False)]


async def asked(folder: Path, messages: list[Any], size: int) -> list[Any]:
    """What advocacy says when it reads the past in batches of this size."""
    addresses = Addresses("https://voice.example", Links(b"a secret of sixteen bytes"))
    handlers, said = Handlers(LOADED, lambda _account: 0, addresses, FakeClock()), []
    async with migrated_storage(settings(folder, f"advocacy{size}"), "advocacy") as opened:
        for start in range(0, len(messages), size):
            async with opened.database.transaction() as tx:
                await handlers.messages(tx, MessageBatch(LIFECYCLE, 0, start, messages[start : start + size]))
                said += [one for batch in tx.emitted for one in batch.messages]  # type: ignore[attr-defined]
    return said


async def planned(here: Office) -> list[tuple[Any, ...]]:
    rows = await here.rows()
    return [(row["id"], row["status"], row["reason"], row["at"], row["subject"]) for row in rows]


async def waits(here: Office) -> int:
    async with here.database.snapshot() as read:
        return int(await read.scalar(select(func.count()).select_from(waiting)))


async def in_batches(here: Office, messages: list[Any], size: int, topic: Any) -> None:
    for start in range(0, len(messages), size):
        await here.take(*messages[start : start + size], topic=topic)


async def in_turns(here: Office, past: list[Any], said: list[Any], sizes: tuple[int, int]) -> None:
    """Some of the one topic, some of the other."""
    one, two = list(past), list(said)
    while one or two:
        if one:
            await here.take(*one[: sizes[0]])
        if two:
            await here.take(*two[: sizes[1]], topic=ADVOCACY)
        one, two = one[sizes[0] :], two[sizes[1] :]


async def test_whichever_topic_is_faster_and_however_it_is_cut_the_plans_are_the_same(tmp_path: Path) -> None:
    past, found = the_past(), []
    said = {size: await asked(tmp_path, past, size) for size in (1, 7, 1000)}
    for number, (size, sizes) in enumerate(
        [(1, (1, 1)), (1, (1000, 3)), (7, (2, 1000)), (1000, (5, 2)), (1000, (1000, 1000))]
    ):
        async with office(settings(tmp_path, f"notify{number}"), patience=LONG) as here:
            await in_turns(here, past, said[size], sizes)
            states = [await here.state(name) for name in ("acme", "globex")]
            assert await waits(here) == 0
            found.append((await planned(here), states))
    assert len([row for row in found[0][0] if row[4]]) > 10
    assert all(one == found[0] for one in found[1:])


async def test_what_waits_survives_a_restart_and_no_timer_passes_it(tmp_path: Path) -> None:
    past = the_past()
    said = await asked(tmp_path, past, 1000)
    async with office(settings(tmp_path, "notify"), patience=LONG) as here:
        await here.take(*past)
        assert await here.time(MONDAY + timedelta(days=4000)) == 0
        assert (await planned(here), await waits(here)) == ([], len(past))
    async with office(settings(tmp_path, "notify"), patience=LONG) as here:
        await here.take(*past)
        assert await waits(here) == len(past)
        await here.take(*said, topic=ADVOCACY)
        assert await waits(here) == 0
        assert await planned(here)


async def test_where_advocacy_is_silent_or_not_run_nothing_waits_for_ever(tmp_path: Path) -> None:
    past = the_past()
    async with office(settings(tmp_path, "without"), patience=0) as here:
        await here.take(*past)
        without = await planned(here)
        assert (await waits(here), bool(without)) == (0, True)
    async with office(settings(tmp_path, "silent"), patience=LONG) as here:
        await here.take(*past)
        assert await overdue(here) == []
        vain = WaitsInVain(here.handlers, Patience(0), grace=LONG)
        assert await overdue(here, vain) == ["acme", "globex"]
        async with here.database.transaction() as tx:
            await vain.advance_time(tx, ["acme", "globex"], MONDAY)
        assert (await waits(here), await planned(here)) == (0, without)


async def test_what_advocacy_parked_is_waited_for_for_days(tmp_path: Path) -> None:
    async with office(settings(tmp_path, "notify"), patience=LONG) as here:
        await here.take(*the_past())
        here.clock.move(LONGEST)
        assert (
            await overdue(here, WaitsInVain(here.handlers, here.patience, grace=LONG)) == []
        )  # asleep for days, and just awake
        assert await overdue(here) == ["acme", "globex"]


async def test_a_request_waits_for_its_message_unless_that_was_parked(deployment: Deployment) -> None:
    head: dict[str, Any] = {"id": "r1", "account": "acme", "at": MONDAY, "decided_at": MONDAY, "behind": 1}
    request = OutreachRequested(**head, user="ann", play="nps_invite", outreach_class="survey", link="https://x.test/s")
    async with office(deployment.settings, patience=LONG) as here:
        await here.take(request, topic=ADVOCACY)
        assert (await waits(here), (await here.state()).runs) == (1, [])
        assert (
            await overdue(here, read_until=here.clock.now() - timedelta(seconds=1)) == []
        )  # it may stand in what is unread
        assert await overdue(here) == ["acme"]
        async with here.database.transaction() as tx:
            await WaitsInVain(here.handlers, here.patience).advance_time(tx, ["acme"], MONDAY)
        assert (await waits(here), [run.occurrence for run in (await here.state()).runs]) == (0, ["r1"])


async def overdue(here: Office, vain: WaitsInVain | None = None, read_until: datetime | None = None) -> list[str]:
    vain = vain or WaitsInVain(here.handlers, here.patience)
    async with here.database.snapshot() as read:
        return list(await vain.due(read, here.partition_of("acme"), read_until or here.clock.now(), 10))


async def both_ways(folder: Path, told: list[Any], config: Path = CONFIG) -> list[list[tuple[Any, ...]]]:
    """What is planned when all of it is one batch, and when each message is one."""
    found = []
    for size in (1000, 1):
        where = settings(folder, f"cut{size}").model_copy(update={"config": config})
        async with office(where) as here:
            await in_batches(here, told, size, LIFECYCLE)
            found.append(await planned(here))
    return found


async def test_a_no_of_a_history_holds_back_nothing_that_was_before_it(tmp_path: Path) -> None:
    story = Story("acme", history=True).contact(0, "ann").stage(0, "onboarding").signal(3, "x")
    story.contact(4, "ann", unsubscribed=True).signal(30, "x")
    whole, single = await both_ways(tmp_path, story.messages)
    assert whole == single
    assert {row[1:3] for row in whole} == {("previewed", ""), ("skipped", "unsubscribed")}


async def test_what_cannot_be_written_costs_nothing_that_comes_after_it_in_its_batch(tmp_path: Path) -> None:
    config = shutil.copytree(CONFIG, tmp_path / "config")
    (config / "templates" / "renewal_75_mail.md.j2").write_text(
        "Subject: Seats\nNeeds: seats\n\n{{ seats }} of them.\n", "utf8"
    )
    story = Story("acme", history=True).stage(0, "retention").contact(0, "ann", role="champion")
    story.signal(0.1, "renewal_75").stage(0.2, "onboarding").signal(30, "x")
    whole, single = await both_ways(tmp_path, story.messages, config)
    assert whole == single
    assert [(row[2], row[3].date()) for row in whole[:2]] == [("unwritable", day(0).date()), ("", day(0).date())]
