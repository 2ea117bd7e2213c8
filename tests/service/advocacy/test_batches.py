"""How the log is cut into batches, and which of two transactions is first, changes no row."""

import asyncio
from collections.abc import AsyncIterator
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

from services.advocacy.core.invitations import Addresses
from services.advocacy.handlers import Handlers, SleepingAccounts
from services.advocacy.store.referrals import REFERRALS
from services.advocacy.tables import account, referral, reward
from shared.contracts.topics import LIFECYCLE
from shared.db.protocol import Tx
from shared.links import Links
from shared.service.processor import MessageBatch
from shared.storage import Storage
from tests.conftest import Deployment
from tests.core.advocacy.make import SHIPPED, Story, promoter
from tests.make import FakeClock, migrated_storage
from tests.service.advocacy.make import everything, surveyed


@pytest.fixture
async def opened(deployment: Deployment) -> AsyncIterator[Storage]:
    async with migrated_storage(deployment.settings, "advocacy") as one:
        yield one


def handlers() -> Handlers:
    addresses = Addresses("https://voice.example", Links(b"a secret of sixteen bytes"))
    return Handlers(SHIPPED, lambda _account: 0, addresses, FakeClock())


def brings(account: str = "acme", used: str = "ann-2026") -> Story:
    story = Story(account).stage(0, "retention").contact(1, "ann", f"ann@{account}.example")
    return story.fact(2, "referral_code_issued", "ann", referral_code=used)


def comes(account: str, used: str = "ANN2026") -> Story:
    story = Story(account).stage(19, "onboarding")
    story.fact(20, "referred_signup", "kim", referral_code=used, email=f"kim@{account}.example")
    return story.fact(30, "invoice_paid", amount=9.0)


def everybody() -> list[Any]:
    """Surveys, an ask, a code that is claimed after one signed up with it, two payments, and a refund; interleaved."""
    refunded = comes("newco").fact(35, "invoice_refunded").stage(100, "adoption")
    asked = promoter("globex").stage(200, "advocacy").health(201, "red", 10.0)
    stories = [surveyed("umbrella").stage(90, "retention"), comes("early"), brings(), refunded, asked]
    return sorted((one for story in stories for one in story.messages), key=lambda one: (one.at, one.account, one.seq))


Found = tuple[dict[str, Any], dict[str, list[bytes]]]


class Enough(Exception):  # noqa: N818  rolls back what a cut did, so that the next begins where it began
    pass


async def cut(opened: Storage, size: int) -> Found:
    """Every row, and each account's messages, when the log is read in batches of that size."""
    found: list[Found] = []
    with pytest.raises(Enough):
        await _cut(opened, size, found)
    return found[0]


async def _cut(opened: Storage, size: int, found: list[Found]) -> None:
    told, messages = handlers(), everybody()
    async with opened.database.transaction() as tx:
        for start in range(0, len(messages), size):
            await told.messages(tx, MessageBatch(LIFECYCLE, 0, start, messages[start : start + size]))
        found.append((await everything(tx), said(tx)))
        raise Enough


def said(tx: Tx) -> dict[str, list[bytes]]:
    emitted = [one for batch in tx.emitted for one in batch.messages]  # type: ignore[attr-defined]
    ordered = sorted(emitted, key=attrgetter("account"))
    return {name: [msgspec.json.encode(one) for one in some] for name, some in groupby(ordered, attrgetter("account"))}


async def test_the_same_messages_cut_otherwise_give_the_same_rows_and_messages(opened: Storage) -> None:
    whole = await cut(opened, 1000)
    assert all(whole[0][name] for name in whole[0]), whole[0]
    for size in (1, 2, 3, 7):
        assert await cut(opened, size) == whole


@pytest.mark.parametrize("swapped", [False, True])
async def test_replicas_that_judge_at_the_same_time_neither_miss_nor_double(opened: Storage, swapped: bool) -> None:
    """Code and sign-ups come through different partitions at once, again and again."""
    for number in range(8):
        used, accounts = f"code{number}", [f"{name}{number}" for name in ("one", "two")]
        stories = [brings(f"giver{number}", used), *(comes(account, used.upper()) for account in accounts)]
        await asyncio.gather(*(take(opened, story) for story in (reversed(stories) if swapped else stories)))
    async with opened.database.snapshot() as read:
        rows = await read.all(select(referral.c.status, referral.c.body))
        rewards = await read.all(select(reward.c.referral_id, reward.c.side))
    assert {row.status for row in rows} == {"converted"}
    assert len(rows) == 16
    assert all(REFERRALS.decode(row.body).converted_at for row in rows)
    assert len(set(map(tuple, rewards))) == len(rewards) == 32


async def take(opened: Storage, story: Story) -> None:
    async with opened.database.transaction() as tx:
        await handlers().messages(tx, MessageBatch(LIFECYCLE, 0, 0, story.messages))


async def test_the_cap_of_a_month_holds_when_many_convert_at_once(opened: Storage) -> None:
    await take(opened, brings())
    await asyncio.gather(*(take(opened, comes(f"new{number:02}")) for number in range(12)))
    async with opened.database.snapshot() as read:
        rewards = await read.all(select(reward.c.side))
    sides = [row.side for row in rewards]
    assert (sides.count("referrer"), sides.count("referred")) == (10, 12)


async def test_accounts_stored_before_a_survey_recurred_are_woken_over_a_quarter(opened: Storage) -> None:
    clock, names = FakeClock(), [f"a{number}" for number in range(40)]
    stories = [one for name in names for one in Story(name).stage(0, "adoption").contact(1, "ann").messages]
    async with opened.database.transaction() as tx:
        await handlers().messages(tx, MessageBatch(LIFECYCLE, 0, 0, stories))
        await tx.run(update(account).values(next_due=None))
    never = SHIPPED._replace(surveys=())
    assert await SleepingAccounts(never, opened.database, clock).fire() == 0
    assert await SleepingAccounts(SHIPPED, opened.database, clock).fire() == 40
    assert await SleepingAccounts(SHIPPED, opened.database, clock).fire() == 0
    async with opened.database.snapshot() as read:
        days = {(row.next_due - clock.now()).days for row in await read.all(select(account.c.next_due))}
    assert len(days) > 20
    assert days <= set(range(1, 91))
