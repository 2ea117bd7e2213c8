"""Private files: what holds customers' data and secrets is for its owner only, whatever the umask says."""

import errno
import os
import stat
from pathlib import Path

_FILE, _FOLDER = 0o600, 0o700
_OTHERS = 0o077
_OURS = frozenset({"last-run", "demo", "demo.json", "lost+found"})
_OURS_BEGIN = ("waymark", "credentials.")
"""What stands in a data folder, backups beside the database too; `lost+found` is the volume's."""


def private_folder(folder: Path) -> None:
    """Make the folder, mode 0700. One that exists is tightened where it is ours, and ours alone to decide about.

    A folder that holds more than our data (the working folder, the home, /etc, one that everybody may write to) stays as it
    is. Raises NotADirectoryError for a file.
    """
    try:
        folder.mkdir(mode=_FOLDER, parents=True)
    except FileExistsError:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
        found = folder.stat()
        shared = found.st_mode & stat.S_ISVTX or folder.resolve() in {Path.cwd(), Path.home(), Path(folder.anchor)}
        if found.st_uid == os.geteuid() and found.st_mode & _OTHERS and not shared and _holds_our_data_alone(folder):
            folder.chmod(_FOLDER)


def _holds_our_data_alone(folder: Path) -> bool:
    return all(one.name in _OURS or one.name.startswith(_OURS_BEGIN) for one in folder.iterdir())


def private_file(file: Path) -> None:
    """Make the file, empty and mode 0600, unless it exists; one that exists is tightened where it is ours."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE))
    except FileExistsError:
        tighten(file)


def tighten(file: Path) -> None:
    """Mode 0600 for a file that is there, and ours."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return
    if found.st_mode & _OTHERS and found.st_uid == os.geteuid():
        file.chmod(_FILE)


def private_database(file: Path) -> None:
    """Make an SQLite file private, and what stands beside it: SQLite gives -wal and -shm the mode of the database."""
    private_file(file)
    for suffix in ("-wal", "-shm", "-journal"):
        tighten(file.with_name(file.name + suffix))
