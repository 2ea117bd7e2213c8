"""The journal and the archive give advocacy's accounts once more, with what they share: codes, referrals, rewards, the ledger."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import select, update

from services.advocacy.core.invitations import Addresses
from services.advocacy.handlers import Handlers, RewardRelease
from services.advocacy.store import referrals
from services.advocacy.tables import JOURNAL, ledger_entry
from shared.contracts.topics import LIFECYCLE
from shared.links import Links
from shared.service.journal import Taken
from shared.service.processor import MessageBatch
from shared.service.time_slice import TimeSlice
from shared.storage import Storage
from tests.conftest import embedded
from tests.core.advocacy.make import LOADED
from tests.make import FakeClock, migrated_storage
from tests.service.advocacy.test_batches import everybody
from waymark import migrations
from waymark.replay import Replayed, Scope, replay

_BATCH = 7


async def history(opened: Storage, clock: FakeClock) -> None:
    """Messages in batches, friends who open a code's page, and rewards whose hold is over."""
    advocacy, messages = Handlers(LOADED, lambda _account: 0, Addresses("", Links(bytes(32))), clock), everybody()
    async with opened.database.transaction() as tx:
        tx.emit(LIFECYCLE, messages)
    for start in range(0, len(messages), _BATCH):
        some = messages[start : start + _BATCH]
        async with opened.database.transaction() as tx:
            taken = Taken(start, start + len(some))
            await advocacy.messages(tx, MessageBatch(LIFECYCLE, 0, start, some, TimeSlice(), taken))
    async with opened.database.transaction() as tx:
        code = (await referrals.load_codes_for_update(tx, ["ANN2026"]))["ANN2026"]
        assert code is not None
        await advocacy.click(tx, code)
    clock.move(timedelta(days=400))
    release = RewardRelease(LOADED.referrals.rewards, advocacy.journal, opened.database, clock)
    assert await release.fire()


async def again(folder: Path, name: str) -> Replayed:
    return (await replay(embedded(folder), f"sqlite:///{folder}/{name}.db", FakeClock(), Scope()))["advocacy"]


async def test_a_replay_comes_to_the_same_ledger_and_a_line_that_was_altered_is_told(tmp_path: Path) -> None:
    migrations.migrate(embedded(tmp_path), list(migrations.OWNERS))
    async with migrated_storage(embedded(tmp_path), "advocacy") as opened:
        await history(opened, FakeClock())
        found = await again(tmp_path, "again")
        async with opened.database.snapshot() as read:
            kinds = {row.kind for row in await read.all(select(JOURNAL.journal.c.kind))}
            [line, *_] = await read.all(select(ledger_entry))
        async with opened.database.transaction() as tx:
            one = (ledger_entry.c.transaction_id == line.transaction_id, ledger_entry.c.amount == line.amount)
            await tx.run(update(ledger_entry).where(*one).values(amount=line.amount + 1))
        altered = await again(tmp_path, "altered")

    assert found.comparison.differing == []
    assert found.comparison.same == 5
    assert kinds == {"range", "command"}
    assert [one.where for one in altered.comparison.differing] == ["advocacy_ledger_entry"]
