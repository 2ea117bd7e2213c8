"""Migration registry: each service's histories of Alembic revisions, and what `waymark migrate` does with them.

The same histories are the sections of `alembic.ini`: `alembic -n lifecycle upgrade head` works as everywhere.
"""

import io
import tempfile
import threading
from collections.abc import Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, Select, column, select, table

from shared.access import tables as access_tables
from shared.bus import tables as bus_tables
from shared.db.migrations import run_locked
from shared.failures import Refused
from shared.settings import Settings
from shared.storage import ACCESS_SCHEMA, check_database_url

BUS = "bus"
ACCESS = "access"
OWNERS = ("ingest", "lifecycle", "notify", "advocacy")
"""Services with tables of their own."""
_FOLDER = Path(__file__).parent
_ROOT = Path(bus_tables.__file__).parents[2]
"""The folder of `shared` and `services`: in a wheel not that of `waymark`."""
ADVICE = "run the version of Waymark that wrote it, or a newer one"
_one_at_a_time = threading.Lock()
"""Alembic's `context` is one for the process."""


class History(NamedTuple):
    """A history of revisions, the tables they lead to, and the schema these stand in (on PostgreSQL)."""

    name: str
    folder: Path
    metadata: MetaData
    schema: str

    @property
    def version_table(self) -> str:
        return f"{self.name}_version"


def histories(service: str) -> list[History]:
    """The log's tables beside the service's own; on SQLite all services share the log's."""
    return [bus_history(service), service_history(service)]


def bus_history(service: str) -> History:
    """The log's tables of a service."""
    return History(BUS, _ROOT / "shared" / "bus" / "migrations", bus_tables.metadata, service)


def access_history() -> History:
    """The tables of keys, which every service reads."""
    return History(ACCESS, _ROOT / "shared" / "access" / "migrations", access_tables.metadata, ACCESS_SCHEMA)


def service_history(service: str) -> History:
    """The tables of a service."""
    metadata: MetaData = import_module(f"services.{service}.tables").metadata
    return History(service, _ROOT / "services" / service / "migrations", metadata, service)


def history_named(name: str) -> History:
    """The history that a section of alembic.ini names. Raises Refused for an unknown one."""
    if name == BUS:
        return bus_history(OWNERS[0])
    if name == ACCESS:
        return access_history()
    if name not in OWNERS:
        raise Refused(f"there is no history '{name}'; there are: {', '.join((BUS, ACCESS, *OWNERS))}")
    return service_history(name)


def config_of(history: History, url: str) -> Config:
    """What `alembic -n NAME` reads from alembic.ini, for this database."""
    config = Config(ini_section=history.name, stdout=io.StringIO())
    for name, value in (
        ("script_location", str(_FOLDER)),
        ("version_locations", str(history.folder / "versions")),
        ("path_separator", "newline"),
        ("file_template", "%(rev)s_%(slug)s"),
        ("revision_environment", "true"),
    ):
        config.set_main_option(name, value.replace("%", "%%"))
    config.attributes["history"] = history
    config.attributes["url"] = url
    return config


def script_of(history: History) -> ScriptDirectory:
    """Its revisions."""
    return ScriptDirectory.from_config(config_of(history, ""))


class NewerDatabase(Refused):
    """A newer version has used this database: this one would misread or overwrite what it does not know."""

    code = "newer_database"

    def __init__(self, found: Sequence[str]) -> None:
        super().__init__(f"the database is newer than this version of Waymark: {'; '.join(found)}: {ADVICE}")


class Revisions(NamedTuple):
    """The revisions of a history that this version knows, and the newest of them."""

    history: History
    known: frozenset[str]
    head: str

    @classmethod
    def of(cls, history: History) -> "Revisions":
        script = script_of(history)
        known = frozenset(revision.revision for revision in script.walk_revisions())
        return cls(history, known, script.get_current_head() or "")

    def newer(self, current: Iterable[str]) -> list[str]:
        """Which of these, found in a database, this version does not know."""
        return [
            f"the tables of {self.history.name} are of revision {revision}, this version knows up to {self.head}"
            for revision in sorted(set(current) - self.known)
        ]


def revisions_of(history: History) -> Select[Any]:
    """Asks a database which revisions its tables are of."""
    return select(column("version_num")).select_from(table(history.version_table))


def refuse_newer_revision(history: History, connection: Connection) -> None:
    """Raises NewerDatabase for tables that a newer version has migrated: asked under the lock, before anything is changed."""
    if found := Revisions.of(history).newer(_current(history, connection)):
        raise NewerDatabase(found)


def upgrade(url: str, history: History, revision: str = "head") -> None:
    """Bring the tables to the newest revision, or to this one. Blocking: call it outside the event loop, or in a thread."""
    with _one_at_a_time:
        command.upgrade(config_of(history, url), revision)


def behind(url: str, history: History) -> bool:
    """Whether a revision is missing there."""
    current = run_locked(url, history.schema, partial(_current, history))
    return current != set(script_of(history).get_heads())


def differences(url: str, history: History) -> list[str]:
    """Where the tables there differ from those in the code: as `alembic check`, whatever the revision."""
    return run_locked(url, history.schema, partial(_compare, history))


def migrate(settings: Settings, services: list[str]) -> None:
    """Bring these services' tables to the newest revision."""
    check_database_url(settings)
    for history in histories_of(services):
        upgrade(settings.database, history)


def migrate_access(settings: Settings) -> None:
    """Bring the tables of keys to the newest revision, for a command that needs no others.

    Raises Refused where a database is shared: that is migrated as a whole, once.
    """
    check_database_url(settings)
    if settings.embedded:
        upgrade(settings.database, access_history())
    elif behind(settings.database, access_history()):
        raise Refused("the tables of keys are not there yet; run: waymark migrate")


def pending(settings: Settings, services: list[str]) -> list[str]:
    """The histories that lack a revision in that database."""
    return [history.name for history in histories_of(services) if behind(settings.database, history)]


def drift(settings: Settings, services: list[str]) -> list[str]:
    """Where the tables in the database differ from those in the code."""
    return [f"{h.schema}: {change}" for h in histories_of(services) for change in differences(settings.database, h)]


def revise(history: History, message: str) -> Path:
    """Write the revision that leads from the newest one to the tables in the code.

    It is a draft: read it, and write how the data move by hand where they do.
    """
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/empty.db"
        upgrade(url, history)
        with _one_at_a_time:
            written = command.revision(config_of(history, url), message, autogenerate=True)
    if written is None or isinstance(written, list):
        raise RuntimeError("alembic wrote no revision, or more than one")
    return Path(written.path)


def own_tables(history: History, name: str | None, kind: str) -> bool:
    """Whether Alembic may compare this: in an SQLite file the tables of all services stand side by side."""
    return kind != "table" or name in {*history.metadata.tables, history.version_table}


def _compare(history: History, connection: Connection) -> list[str]:
    options = {
        "include_name": lambda name, kind, _parents: own_tables(history, name, kind),
        "version_table": history.version_table,
    }
    context = MigrationContext.configure(connection, opts=options)
    return [str(change) for change in compare_metadata(context, history.metadata)]


def _current(history: History, connection: Connection) -> set[str]:
    context = MigrationContext.configure(connection, opts={"version_table": history.version_table})
    return set(context.get_current_heads())


def histories_of(services: Iterable[str]) -> list[History]:
    """Every history whose tables these services use."""
    services = list(services)
    of_services = [history for service in services if service in OWNERS for history in histories(service)]
    return [access_history(), *of_services] if services else []
