"""How do the tables get here? One Alembic history a service, each with its own version table, in the service's schema."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.environment import EnvironmentContext
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine


class History(NamedTuple):
    """A folder of revisions, the tables they lead to, and the schema they live in (PostgreSQL only)."""

    name: str
    folder: Path
    metadata: MetaData
    schema: str

    @property
    def version_table(self) -> str:
        return f"{self.name}_version"


Work = Callable[[Connection, History], list[object]]


def upgrade(url: str, history: History) -> None:
    """Bring the tables to the newest revision. Blocking: call it outside the event loop, or in a thread."""
    _connected(url, history, _upgrade)


def differences(url: str, history: History) -> list[str]:
    """What `alembic check` would find: where the tables there differ from those in the code."""
    return [str(change) for change in _connected(url, history, _compare)]


def behind(url: str, history: History) -> bool:
    """Whether a revision is missing there."""
    return bool(_connected(url, history, _current) != [script_of(history).get_current_head()])


def script_of(history: History) -> ScriptDirectory:
    """Its revisions."""
    config = Config()
    config.set_main_option("script_location", str(history.folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def _upgrade(connection: Connection, history: History) -> list[object]:
    script = script_of(history)

    def steps(current: Any, _context: MigrationContext) -> object:
        return script._upgrade_revs("head", current)  # noqa: SLF001  what `alembic upgrade` itself calls

    with EnvironmentContext(Config(), script, fn=steps, destination_rev="head") as environment:
        environment.configure(
            connection=connection, target_metadata=history.metadata, version_table=history.version_table
        )
        with environment.begin_transaction():
            environment.run_migrations()
    return []


def _compare(connection: Connection, history: History) -> list[object]:
    ours = {*history.metadata.tables, history.version_table}

    def included(name: str | None, kind: str, _parents: object) -> bool:
        return kind != "table" or name in ours

    options = {"include_name": included, "version_table": history.version_table}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, history.metadata))


def _current(connection: Connection, history: History) -> list[object]:
    context = MigrationContext.configure(connection, opts={"version_table": history.version_table})
    return list(context.get_current_heads()) or [None]


def _connected(url: str, history: History, work: Work) -> list[object]:
    if url.startswith("sqlite"):
        engine = create_engine(url)
        try:
            with engine.begin() as connection:
                return work(connection, history)
        finally:
            engine.dispose()
    return asyncio.run(_on_postgres(url, history, work))


async def _on_postgres(url: str, history: History, work: Work) -> list[object]:
    settings = {"search_path": history.schema, "lock_timeout": "30000"}
    engine = create_async_engine(url, connect_args={"server_settings": settings, "timeout": 10})
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('waymark migrations'))"))
            await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{history.schema}"'))
            return await connection.run_sync(lambda sync: work(sync, history))
    finally:
        await engine.dispose()
