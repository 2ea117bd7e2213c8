"""Does the database hold at the end of the road what was posted? Nothing lost, nothing twice."""

import sqlite3
from contextlib import closing

import asyncpg

from bench.endstate import demand
from bench.servers import dsn
from shared.settings import Settings

_QUESTIONS = {
    "accounts": ("lifecycle", "SELECT count(*) FROM lifecycle_account"),
    "transitions": ("lifecycle", "SELECT count(*) FROM lifecycle_decision WHERE kind = 'stage_changed'"),
    "archived": ("ingest", "SELECT coalesce(sum(next_offset), 0) FROM log_end WHERE topic = 'usage.v1'"),
    "parked": ("ingest", "SELECT count(*) FROM dead_letter"),
}


async def check(settings: Settings, events: int, accounts: int) -> None:
    """Every event archived once, none parked, each account there with its one transition. Raises Wrong."""
    found = _in_the_file(settings) if settings.embedded else await _on_postgresql(settings)
    demand(found, {"accounts": accounts, "transitions": accounts, "archived": events, "parked": 0})


def _in_the_file(settings: Settings) -> dict[str, int]:
    with closing(sqlite3.connect(f"file:{settings.data / 'waymark.db'}?mode=ro", uri=True)) as file:
        return {name: int(file.execute(sql).fetchone()[0]) for name, (_, sql) in _QUESTIONS.items()}


async def _on_postgresql(settings: Settings) -> dict[str, int]:
    connection = await asyncpg.connect(dsn(settings.database))
    try:
        found = {}
        for name, (schema, sql) in _QUESTIONS.items():
            await connection.execute(f"SET search_path TO {schema}")
            found[name] = int(await connection.fetchval(sql))
        return found
    finally:
        await connection.close()
