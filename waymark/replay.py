"""`waymark replay`: accounts made once more, from the archive and the journal, and held against those that stand."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.engine import make_url

from services.advocacy.replay import AdvocacyReplay
from services.lifecycle.replay import LifecycleReplay
from shared.bus.archive import Archive
from shared.bus.producer import partition_of
from shared.clock import Clock
from shared.db.protocol import Database, Read
from shared.definitions import DefinitionError
from shared.failures import Refused
from shared.service import replay as replaying
from shared.service.replay import Comparison, Counts, Difference, Replays
from shared.settings import Settings
from shared.storage import check_database_url, open_database
from waymark import compatibility
from waymark.backup import postgres

_SHOWN = 20
_LONG = 60


class Scope(NamedTuple):
    """What to replay: one account, the accounts of one partition, or all; `without` events of these ids."""

    account: str | None = None
    partition: int | None = None
    without: Collection[str] = ()


class Replayed(NamedTuple):
    """What was applied, and how it compares."""

    counts: Counts
    comparison: Comparison

    @property
    def equal(self) -> bool:
        return not self.comparison.differing

    @property
    def accounts(self) -> int:
        """How many were looked at."""
        return self.comparison.same + self.comparison.unseen + len({one.account for one in self.comparison.differing})


def services(settings: Settings) -> dict[str, Replays]:
    """The services that keep a journal."""
    partitions = 1 if settings.bus_url is None else settings.partitions

    def placed(account: str) -> int:
        return partition_of(account.encode(), partitions)

    return {"lifecycle": LifecycleReplay(placed), "advocacy": AdvocacyReplay(placed)}


async def replay(settings: Settings, to: str, clock: Clock, scope: Scope) -> dict[str, Replayed]:
    """Replay every service's journal into an empty database, beside services that run or not.

    Raises Refused where the target holds data, the archive or a definition is not kept any more, or no such account is known.
    """
    target = await _made(settings, to, clock)
    found: dict[str, Replayed] = {}
    for name, service in services(settings).items():
        found[name] = await _replay(settings, target, clock, name, service, scope)
    if scope.account is not None and not any(one.accounts for one in found.values()):
        raise Refused(f"no account '{scope.account}' is known")
    return found


async def _made(settings: Settings, to: str, clock: Clock) -> Settings:
    """The target, with its tables."""
    target = settings.model_copy(update={"database_url": to})
    if check_database_url(target) == "sqlite":
        _refuse_file(Path(make_url(to).database or ""))
    else:
        await postgres.empty(to, clock.now(), replace=False)
    await asyncio.to_thread(compatibility.migrate, target, list(services(settings)))
    return target


def _refuse_file(file: Path) -> None:
    if file.exists():
        raise Refused(f"{file} is there already: a replay begins with an empty database")


async def _replay(
    settings: Settings, target: Settings, clock: Clock, name: str, service: Replays, scope: Scope
) -> Replayed:
    async with (
        opened(settings, clock, service) as (archive, database),
        open_database(target, name, clock) as copy,
        database.snapshot() as read,
    ):
        only = await _accounts(read, service, scope)
        try:
            counts, floors = await replaying.replay(read, archive, copy, service, only, scope.without)
        except (LookupError, DefinitionError) as error:
            raise Refused(f"{name} cannot be replayed: {error}") from None
        days = settings.keep_decisions_days
        kept_since = None if days is None else clock.now() - timedelta(days=days)
        async with copy.snapshot() as again:
            return Replayed(counts, await replaying.compare(read, again, service, floors, only, kept_since))


@asynccontextmanager
async def opened(settings: Settings, clock: Clock, service: Replays) -> AsyncIterator[tuple[Archive, Database]]:
    """The archive of the topics that a service reads, and the service's own database as of one moment."""
    async with AsyncExitStack() as stack:
        owner = service.accounts.name.partition("_")[0]
        database = await stack.enter_async_context(open_database(settings, owner, clock, still=True))
        published: dict[str, Database] = {}
        for topic in service.topics.values():
            producer = str(topic.producer)
            published[topic.name] = await stack.enter_async_context(open_database(settings, producer, clock))
        yield Archive(published), database


async def _accounts(read: Read, service: Replays, scope: Scope) -> Collection[str] | None:
    c = service.accounts.c
    if scope.account is not None:
        return {scope.account}
    if scope.partition is not None:
        return {row.id for row in await read.all(select(c.id).where(c.partition == scope.partition))}
    return None


def report(found: dict[str, Replayed]) -> str:
    """What came of it, a line a service and a line a difference."""
    lines = []
    for name, (counts, comparison) in found.items():
        lines.append(
            f"{name}: {counts.entries:,} entries, {counts.messages:,} messages; {comparison.same:,} accounts are equal, "
            f"{len({one.account for one in comparison.differing}):,} differ"
        )
        if counts.lost:
            lines.append(f"  {len(counts.lost):,} entries took what is not kept any more; the first: {counts.lost[0]}")
        if comparison.unseen:
            lines.append(f"  {comparison.unseen:,} accounts have not changed since the journal began")
        lines += [f"  {_line(one)}" for one in comparison.differing[:_SHOWN]]
        if len(comparison.differing) > _SHOWN:
            lines.append(f"  and {len(comparison.differing) - _SHOWN:,} more differences")
    return "\n".join(lines)


def _line(one: Difference) -> str:
    return f"{one.account}: {one.where} is {_short(one.live)}, replayed {_short(one.again)}"


def _short(value: object) -> str:
    text = "not there" if value is None else str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."
