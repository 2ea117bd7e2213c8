"""How accounts are written: list columns only when they changed, and every visit ends where the next begins."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta

import pytest
from sqlalchemy import update

from services.lifecycle import store
from services.lifecycle.accounts import Decided, change, repository
from services.lifecycle.core.state import Account, begin
from services.lifecycle.tables import account
from shared.contracts.lifecycle import LifecycleMessage, StageChanged
from shared.db.protocol import Tx
from shared.storage import Storage
from tests.conftest import Deployment
from tests.contract.house.messages import LIFECYCLE, MESSAGES
from tests.make import NOON
from tests.make import migrated_storage as opened_store

DAY = timedelta(days=1)


@pytest.fixture
async def opened(deployment: Deployment) -> AsyncIterator[Storage]:
    async with opened_store(deployment.settings, "lifecycle") as found:
        yield found


def moved(seq: int, previous: str | None, stage: str) -> StageChanged:
    example = MESSAGES[LIFECYCLE][0]
    assert isinstance(example, StageChanged)
    fields = {name: getattr(example, name) for name in example.__struct_fields__}
    changed = {"id": f"m-{seq}", "seq": seq, "previous": previous, "stage": stage, "at": NOON + seq * DAY}
    return StageChanged(**{**fields, **changed})


async def save(opened: Storage, *decided: LifecycleMessage, partition: int = 0, **fields: object) -> None:
    async def changed(name: str, known: Account | None) -> Decided:
        one = known or begin(name, NOON)
        for field, value in fields.items():
            setattr(one, field, value)
        return Decided(one, list(decided))

    async def unjournaled(_tx: Tx, _unknown: Mapping[str, bytes]) -> None:
        """What was taken is no matter here."""

    accounts = repository(lambda _: partition)
    async with opened.database.transaction() as tx:
        written = await change(tx, accounts, {"acme"}, lambda _: partition, changed, unjournaled)
        assert written == list(decided)


async def test_stays_end_where_the_next_begins_in_a_batch_and_between_batches(opened: Storage) -> None:
    await save(opened, moved(1, None, "onboarding"))
    await save(opened, moved(2, "onboarding", "adoption"), moved(3, "adoption", "retention"))
    await save(opened, moved(4, "retention", "churned"))
    async with opened.database.snapshot() as read:
        found = {visit.stage: (visit.left_at, visit.next_stage) for visit in await store.stage_visits(read)}
    assert found == {
        "onboarding": (NOON + 2 * DAY, "adoption"),
        "adoption": (NOON + 3 * DAY, "retention"),
        "retention": (NOON + 4 * DAY, "churned"),
        "churned": (None, None),
    }


async def test_what_lists_show_is_written_when_it_moves_and_stays_when_it_does_not(opened: Storage) -> None:
    await save(opened, stage="adoption", flags={"stalled": NOON}, partition=3)
    await save(opened, clock=NOON + DAY, partition=3)
    async with opened.database.transaction() as tx:
        await tx.run(update(account).values(name="told by hand"))
    await save(opened, clock=NOON + 2 * DAY, partition=3)
    async with opened.database.snapshot() as read:
        (untouched,) = (await store.list_accounts(read, store.AccountFilter(flag="stalled"), 10)).accounts
    assert (untouched.name, untouched.clock) == ("told by hand", NOON + 2 * DAY), "no column but those that moved"
    await save(opened, stage="retention", seq=2, partition=3)
    async with opened.database.snapshot() as read:
        (row,) = (await store.list_accounts(read, store.AccountFilter(stage="retention"), 10)).accounts
    assert (row.name, row.flags, row.clock) == ("acme", ["stalled"], NOON + 2 * DAY)


async def test_unknown_health_comes_before_the_lowest_score_or_behind_all_that_are_known(opened: Storage) -> None:
    async with opened.database.transaction() as tx:
        rows = [repository(lambda _: 0).row(begin(f"of-{score}", NOON)) for score in (10, 90, None)]
        await tx.insert(account, [{**row, "score": score} for row, score in zip(rows, (10.0, 90.0, None), strict=True)])

    async def found(by: str, *, descending: bool = False) -> list[str]:
        """Of pages of one account each."""
        ids, after = list[str](), None
        async with opened.database.snapshot() as read:
            while True:
                page = await store.list_accounts(read, store.AccountFilter(), 1, by, after, descending=descending)
                ids += [one.id for one in page.accounts]
                if (after := page.sorted_by) is None:
                    return ids

    assert await found("score") == ["of-None", "of-10", "of-90"]
    assert await found("known_score") == ["of-10", "of-90", "of-None"]
    assert await found("score", descending=True) == await found("known_score", descending=True)
    assert await found("known_score", descending=True) == ["of-90", "of-10", "of-None"]


async def test_an_account_that_is_dealt_to_another_partition_is_due_there(opened: Storage) -> None:
    await save(opened, partition=1, next_due=NOON)
    await save(opened, partition=2)
    async with opened.database.snapshot() as read:
        assert await repository(lambda _: 0).due(read, 1, NOON, 10) == []
        assert await repository(lambda _: 0).due(read, 2, NOON, 10) == ["acme"]


async def test_a_row_that_is_not_there_cannot_be_updated(opened: Storage) -> None:
    with pytest.raises(LookupError, match="lifecycle_account"):
        async with opened.database.transaction() as tx:
            await tx.update(account, [{"id": "nobody", "clock": NOON, "state": b""}])
