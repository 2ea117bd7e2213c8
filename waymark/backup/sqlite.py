"""SQLite side of backups: a consistent copy of a file in use, and a file put in the place of another."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

from shared.db.errors import DAMAGED
from shared.failures import Refused
from waymark.backup.file import _TABLE, BackupFile, describe, new_file, remove, sqlite_digest, table_names

WITHOUT_DATA = frozenset({"stored_layout", "relay_lease", "consumer_cursor", "log_end"})
"""Tables that hold something as soon as a process has started."""


def save(source: Path, to: Path, now: datetime) -> None:
    """Write a backup of an SQLite file, in use or not: what is committed, in the main file or in its -wal.

    Raises Refused where there is no such file.
    """
    if not source.is_file():
        raise Refused(f"there is no database at {source}")
    with new_file(to) as partial:
        with closing(sqlite3.connect(source, timeout=60)) as database:
            database.execute("VACUUM INTO ?", [str(partial)])
        describe(partial, "sqlite", now)


def restore(backup: BackupFile, target: Path, now: datetime, *, replace: bool) -> None:
    """Put the backup in the target's place. Raises Refused where that holds data, unless `replace`."""

    def copy(file: Path) -> None:
        shutil.copyfile(backup.path, file)
        with closing(sqlite3.connect(file)) as database:
            with database:
                database.execute(f"DROP TABLE {_TABLE}")
            for name, digest in backup.description.tables.items():
                if sqlite_digest(database, name) != digest:
                    raise Refused(f"{name} is not as it was written: the disk, or the backup, is broken")

    put_in_place(target, copy, now, replace=replace)


def put_in_place(target: Path, write: Callable[[Path], None], now: datetime, *, replace: bool) -> Path | None:
    """Write a database beside the target, then give it the target's name; where the data that stood there are now."""
    before = _set_aside_as(target, now) if target.exists() and _holds_data(target) else None
    if before is not None and not replace:
        raise Refused(
            f"{target} holds data: restore into an empty place, or say --replace (what is there is kept beside)"
        )
    fresh = target.with_name(f".{target.name}.restoring")
    remove(fresh)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with new_file(fresh) as file:
        write(file)
    if before is not None:
        _set_aside(target, before)
    remove(target)
    fresh.rename(target)
    return before


def _set_aside_as(target: Path, now: datetime) -> Path:
    return target.with_name(f"{target.name}.replaced-{now:%Y%m%d-%H%M%S}")


def _holds_data(file: Path) -> bool:
    """A damaged file may hold data too: nobody can tell."""
    try:
        with closing(sqlite3.connect(file, timeout=60)) as database:
            return any(
                database.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone()
                for name in table_names(database)
                if name not in WITHOUT_DATA and not name.endswith("_version")
            )
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            return True
        raise


def _set_aside(file: Path, before: Path) -> None:
    """All that is committed stands in the main file from then on; what stands beside a damaged one is kept beside it."""
    try:
        with closing(sqlite3.connect(file, timeout=60)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            raise
        for suffix in ("-wal", "-shm"):
            if (beside := Path(f"{file}{suffix}")).exists():
                beside.rename(f"{before}{suffix}")
    file.rename(before)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Not an outage, such as a file that somebody has locked: that one can be read later."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED
