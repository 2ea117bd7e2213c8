"""Error classification: an outage is retried and parks nothing; a record that cannot be handled is parked.

The SQLSTATE or SQLite's error code decides, not the Python class: drivers and SQLAlchemy wrap an outage and a bad value
in the same classes.
"""

import errno
import sqlite3
from collections.abc import Iterator

import asyncpg
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.failures import Failure, Retry

_CLASSES = frozenset(
    {
        "08",  # the connection
        "28",  # who we are
        "3D",  # no such database
        "3F",  # no such schema
        "40",  # rolled back: serialization, deadlock
        "53",  # disk full, out of memory, too many connections
        "55",  # a lock that was not to be had
        "57",  # cancelled, shut down, starting up
        "58",  # the system below
        "F0",  # its configuration
        "XX",  # its inside
    }
)
_STATES = frozenset(
    {
        "25006",  # read only: a standby
        "25P03",  # idle in transaction for too long
        "25P04",  # in transaction for too long
        "26000",  # a prepared statement that a pool between has lost
        "42P01",  # no such table: migrations are missing, and no record is at fault
        "42703",  # no such column: likewise
        "42501",  # not allowed to
    }
)
_SQLITE = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOTADB,
    }
)
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""SQLite's codes for a file that is not what it was."""
_DISK = frozenset({errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EROFS})
_OF_FILES = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
_OUTAGES = (
    PoolTimeout,
    PendingRollbackError,
    asyncpg.InterfaceError,  # the connection is closed
    asyncpg.InternalClientError,
    asyncpg.InvalidCachedStatementError,  # after a migration: the next try prepares it anew
)


def is_infrastructure(error: BaseException) -> bool:
    """Whether the database, the log, the network or the disk failed, rather than what it was given."""
    for one in _chain(error):
        if isinstance(one, Failure):
            return isinstance(one, Retry)
        if _is_outage(one):
            return True
    return False


def in_words(error: BaseException) -> str:
    """An outage in one sentence, without the statement that met it."""
    found = list(_chain(error))
    if any(isinstance(one, sqlite3.Error) and getattr(one, "sqlite_errorcode", 0) & 0xFF in DAMAGED for one in found):
        return f"the database file is damaged ({found[-1]}): put back a backup with `waymark restore --replace FILE`"
    return f"the database or the log does not answer: {getattr(error, 'orig', None) or error}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from."""
    inner: BaseException | None = error
    while inner is not None:
        yield inner
        inner = inner.orig if isinstance(inner, DBAPIError) else inner.__cause__


def _is_outage(error: BaseException) -> bool:
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    if isinstance(error, sqlite3.Error):
        return _is_sqlite_outage(error)
    if isinstance(error, OSError):
        return _is_os_outage(error)
    state = str(getattr(error, "sqlstate", None) or "")
    return isinstance(error, _OUTAGES) or state[:2] in _CLASSES or state in _STATES


def _is_os_outage(error: OSError) -> bool:
    """Connections, timeouts and a full disk are outages; a file that is missing, or not for us, is somebody's mistake.

    A Unix socket that is missing is an outage: its error has a number, but names no file.
    """
    if error.filename is not None:
        return error.errno in _DISK
    return not isinstance(error, _OF_FILES) or error.errno is not None


def _is_sqlite_outage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return "closed database" in str(error) if code is None else code & 0xFF in _SQLITE
