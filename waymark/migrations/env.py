"""Alembic environment of every history: a section of alembic.ini names the history, the settings its database.

`alembic -n bus` on PostgreSQL takes the log's tables of every service in turn; `-x service=NAME` those of one.
"""

from functools import partial
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from shared.db.migrations import run_locked
from shared.settings import Settings
from shared.storage import check_database_url
from waymark.migrations import BUS, OWNERS, History, bus_history, history_named, own_tables, refuse_newer_revision


def _database_url() -> str:
    given: str | None = context.config.attributes.get("url")
    if given is None:
        settings = Settings()
        check_database_url(settings)
        return settings.database
    return given


def _histories(url: str) -> list[History]:
    given: History | None = context.config.attributes.get("history")
    if given is not None:
        return [given]
    name = context.config.config_ini_section
    if name != BUS:
        return [history_named(name)]
    wanted = context.get_x_argument(as_dictionary=True).get("service")
    if make_url(url).get_backend_name() == "sqlite":
        return [history_named(BUS)]
    return [bus_history(service) for service in OWNERS if wanted in {None, service}]


def _numbered(_context: MigrationContext, _revision: Any, directives: list[Any]) -> None:
    """Revisions are numbered: 0001, 0002 ..."""
    head = ScriptDirectory.from_config(context.config).get_current_head()
    for directive in directives:
        directive.rev_id = f"{int(head or 0) + 1:04}"


def _options(history: History) -> dict[str, Any]:
    return {
        "target_metadata": history.metadata,
        "version_table": history.version_table,
        "include_name": lambda name, kind, _parents: own_tables(history, name, kind),
        "process_revision_directives": _numbered,
    }


def _run(history: History, connection: Connection) -> None:
    refuse_newer_revision(history, connection)
    context.configure(connection=connection, **_options(history))
    with context.begin_transaction():
        context.run_migrations()


def _print(history: History, url: str) -> None:
    """With `--sql`: the statements, for a person to run."""
    context.configure(url=url, literal_binds=True, **_options(history))
    with context.begin_transaction():
        if make_url(url).get_backend_name() == "postgresql":
            context.execute(f'CREATE SCHEMA IF NOT EXISTS "{history.schema}"')
            context.execute(f'SET search_path TO "{history.schema}"')
        context.run_migrations()


def main() -> None:
    """Run what the command asks for, in each database schema that it concerns."""
    url = _database_url()
    for history in _histories(url):
        if context.is_offline_mode():
            _print(history, url)
        else:
            run_locked(url, history.schema, partial(_run, history))


main()
