"""Which tables are whose? Every history of migrations, and the order in which a service needs them."""

from importlib import import_module
from pathlib import Path

from sqlalchemy import MetaData

from shared.bus import tables as bus_tables
from shared.db.migrate import History, behind, differences, upgrade
from shared.settings import Settings
from shared.storage import check_database_url

_ROOT = Path(__file__).parent.parent
OWNERS = ("ingest", "lifecycle", "notify", "advocacy")
"""Services with tables of their own."""


def histories(service: str) -> list[History]:
    """The log's tables beside the service's own; on SQLite all services share the log's."""
    tables: MetaData = import_module(f"services.{service}.tables").metadata
    return [
        History("bus", _ROOT / "shared/bus/migrations", bus_tables.metadata, service),
        History(service, _ROOT / "services" / service / "migrations", tables, service),
    ]


def migrate(settings: Settings, services: list[str]) -> None:
    """Bring these services' tables to the newest revision."""
    check_database_url(settings)
    if settings.database.startswith("sqlite:///"):
        Path(settings.database.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    for history in _wanted(services):
        upgrade(settings.database, history)


def pending(settings: Settings, services: list[str]) -> list[str]:
    """The histories that lack a revision in that database."""
    return [history.name for history in _wanted(services) if behind(settings.database, history)]


def drift(settings: Settings, services: list[str]) -> list[str]:
    """Where the tables in the database differ from those in the code."""
    return [f"{h.schema}: {change}" for h in _wanted(services) for change in differences(settings.database, h)]


def _wanted(services: list[str]) -> list[History]:
    return [history for service in services if service in OWNERS for history in histories(service)]
