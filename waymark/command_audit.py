"""Audit of the command line: what a command changes leaves a record of the operating system's user who ran it.

Commands on the database write it themselves; those that speak to a running service tell it who they are (`OPERATOR`).
"""

import os
import pwd
import socket
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from shared.access import audit
from shared.access.audit import Action, Actor, AuditEntry
from shared.clock import SystemClock
from shared.http.audit import OPERATOR
from shared.settings import Settings
from shared.storage import check_database_url, open_access

BY = "command line"
"""The actor of what is done on the database itself: no key is needed there."""


def operator() -> str:
    """Who runs this command: the user of the operating system, and the machine."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user that has no name
        name = "somebody"
    return f"{name} (uid {os.getuid()}) on {socket.gethostname()}"


def actor() -> Actor:
    """The actor of this command."""
    return Actor(BY, address=operator())


def headers() -> dict[str, str]:
    """What a running service is told beside the key."""
    return {OPERATOR: f"{operator()}, command line".encode("ascii", "replace").decode()}


async def record(settings: Settings, now: datetime, action: Action, subject: str, **details: Any) -> None:
    """Write the record of an act into the settings' database.

    Where it cannot be written, that is said: a backup or a migration is not to fail for it.
    """
    if not _is_there(settings):
        return
    try:
        async with open_access(settings, SystemClock()) as database, database.transaction() as tx:
            await audit.record(tx, AuditEntry(now, actor(), action, subject, details))
    except (DBAPIError, OSError) as error:
        sys.stderr.write(f"waymark: done, but not recorded in the audit log: {type(error).__name__}: {error}\n")


def whole_path(file: Path) -> str:
    """Where a file is, wherever the command was run."""
    return str(file.absolute())


def shown(url: str) -> str:
    """A database's URL without its password."""
    return make_url(url).render_as_string(hide_password=True)


def _is_there(settings: Settings) -> bool:
    """Whether there is a database to write to: opening an SQLite file would make one."""
    if check_database_url(settings) != "sqlite":
        return True
    return Path(make_url(settings.database).database or "").is_file()
