"""Rows `accounts-*`: the cost of an event with so many accounts; each round starts from a copy of a filled database."""

import asyncio
from functools import partial
from pathlib import Path

from bench.end_state import End, demand, verify
from bench.errors import NotInPlan
from bench.lifecycle import MINIMAL, drained, kept, migrated, rows
from bench.plan import THRESHOLD
from bench.progress import between
from bench.rounds import Figures
from bench.session import Session
from bench.stream import Stream, counted
from bench.topics import Filled, filled
from services.lifecycle.wiring import load_definition
from shared.settings import Settings

_CHANGED = "SELECT id, state FROM lifecycle.lifecycle_account WHERE clock > $1"
_ACTIVE = "SELECT id FROM lifecycle.lifecycle_account WHERE stage = 'active'"
_NEVER = 1_000_000_000
_COUNT = "SELECT count(*) FROM lifecycle.lifecycle_account"


async def known(which: int, session: Session, _: int) -> Figures:
    """A round over the size of this number in the plan: the service starts cold and handles events in runs of twenty."""
    accounts = session.plan.sizes[which]
    if accounts is None:
        raise NotInPlan(f"the {session.plan.name} plan has no time to make a million accounts")
    servers, stream = await session.servers(), session.sessions(accounts)
    greeted: Settings = await session.once(("greeted", accounts), partial(_greeted, session, stream))
    folder = session.new("accounts")
    copy = await servers.database(folder.name, template=greeted.database)
    settings = greeted.model_copy(update={"data": folder, "database_url": copy})
    await migrated(settings, ["lifecycle"])
    await servers.checkpointed()
    first, last = await drained(settings, servers, stream.events)
    await _check(settings, stream, await session.once(("touched", accounts), partial(_touched, stream)))
    await servers.dropped(copy)
    return {"accounts": float(accounts), **between(first, last)}


async def _greeted(session: Session, stream: Stream) -> Settings:
    """A database in which every account is known by its first event; the round's events wait in the topic after those."""
    servers, folder = await session.servers(), session.new("greeted")
    session.say(f"{stream.accounts:,} accounts make themselves known to lifecycle")
    topic = await filled(servers, Filled(stream, f"{servers.prefix}{stream.name}."), range(stream.accounts))
    database = await servers.database(folder.name)
    settings = servers.settings(folder, database, topic.prefix, await session.once("quiet", partial(_quiet, session)))
    await migrated(settings, ["lifecycle"])
    await drained(settings, servers, stream.accounts)
    demand({"accounts": (await rows(settings, _COUNT))[0][0]}, {"accounts": stream.accounts})
    await rows(settings, "ANALYZE")  # as autovacuum does within a minute of so many new rows
    await filled(servers, topic, range(stream.accounts, stream.whole))
    return settings


async def _quiet(session: Session) -> Path:
    """The minimal definition without its transition: how many make it would depend on how many there are."""
    folder = session.new("quiet")
    text = (MINIMAL / "lifecycle.yaml").read_text(encoding="utf8")
    (folder / "lifecycle.yaml").write_text(text.replace(f"uses >= {THRESHOLD}", f"uses >= {_NEVER}"), encoding="utf8")
    return folder


async def _check(settings: Settings, stream: Stream, end: End) -> None:
    """No account more than there were, and each that had events has them all; those without were not decoded."""
    demand({"accounts": (await rows(settings, _COUNT))[0][0]}, {"accounts": stream.accounts})
    changed, compiled = await rows(settings, _CHANGED, stream.at(stream.accounts - 1)), load_definition(settings)
    found = {row["id"]: kept(row["state"], compiled) for row in changed}
    verify(End(found, {row["id"]: 1 for row in await rows(settings, _ACTIVE)}), end)


async def _touched(stream: Stream) -> End:
    return await asyncio.to_thread(_end, stream)


def _end(stream: Stream) -> End:
    touched = {event.account for event in stream.some(range(stream.accounts, stream.whole))}
    return End(counted(event for event in stream if event.account in touched).accounts, {})
