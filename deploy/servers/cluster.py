"""PostgreSQL cluster: its data folder, its owner, and how it is made."""

import os
import pwd
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from deploy.servers.failure import ServerError, refuse_full_disk
from deploy.servers.process import run
from deploy.servers.programs import can_reach, missing_for_postgres, program_folders, programs, stand_in

OWNER = DATABASE = "waymark"
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
fsync = on
recovery_init_sync_method = syncfs
timezone = 'UTC'
log_line_prefix = '%m [%p] '
"""


class Cluster:
    """The data directory and the programs that work on it, run as the user who owns it."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self._named = home
        self._environ = environ
        self._user = stand_in()
        self._elsewhere: Path | None = None

    @property
    def home(self) -> Path:
        return self._named.resolve()

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def password(self) -> str:
        return (self.home / "password").read_text(encoding="ascii").strip()

    def run(self, program: str, *arguments: str) -> tuple[int, str]:
        folder = programs(program_folders(self._environ), self._user)
        if folder is None:
            raise ServerError("PostgreSQL cannot be run", remedy=missing_for_postgres(self._environ))
        environ = {"PATH": self._environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": str(self.home)}
        environ["PGCONNECT_TIMEOUT"] = "10"
        if (self.home / "password").exists():
            environ["PGPASSWORD"] = self.password
        user = (self._user.pw_uid, self._user.pw_gid) if self._user else None
        return run([str(folder / program), *arguments], cwd=self.home, user=user, environ=environ)

    def create(self) -> None:
        """Make the data directory, unless it is there."""
        if missing := missing_for_postgres(self._environ):
            raise ServerError("PostgreSQL cannot be started", remedy=missing)
        self._make_home()
        refuse_full_disk("PostgreSQL", self.home)
        if not self.data.exists():
            self._initialise()

    @property
    def elsewhere(self) -> Path | None:
        """Where the data had to move, if they had to; remembered, since whoever removes the link forgets the target."""
        if self._named.is_symlink():
            self._elsewhere = self.home
        return self._elsewhere

    def remove_elsewhere(self) -> None:
        if place := self.elsewhere:
            shutil.rmtree(place, ignore_errors=True)
            self._named.unlink(missing_ok=True)

    def _make_home(self) -> None:
        if not self._named.exists():
            self._named.unlink(missing_ok=True)  # a link whose target somebody cleaned away
            self._named.parent.mkdir(parents=True, exist_ok=True)
            if can_reach(self._named, self._user):
                self._named.mkdir()
            else:
                self._named.symlink_to(_open_folder(self._user))
        if self._user:
            os.chown(self.home, self._user.pw_uid, self._user.pw_gid)

    def _initialise(self) -> None:
        """Make it aside and rename it: one that broke off never looks complete."""
        aside = self.home / "data.new"
        shutil.rmtree(aside, ignore_errors=True)
        self._keep_password()
        how = ("--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", f"--username={OWNER}")
        code, said = self.run("initdb", "-D", str(aside), *how, f"--pwfile={self.home / 'password'}")
        if code:
            raise ServerError("PostgreSQL cannot make its data directory", said=said)
        with (aside / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write(SETTINGS)
        aside.rename(self.data)

    def _keep_password(self) -> None:
        kept = self.home / "password"
        kept.touch(mode=0o600)
        kept.write_text(f"{secrets.token_hex(16)}\n", encoding="ascii")
        if self._user:
            os.chown(kept, self._user.pw_uid, self._user.pw_gid)


def _open_folder(user: pwd.struct_passwd | None) -> Path:
    """Return a folder the user can walk to: root's folders, and pytest's, are closed to everybody else."""
    place = Path(tempfile.mkdtemp(prefix="waymark-postgres-"))
    if user:
        os.chown(place, user.pw_uid, user.pw_gid)
    if not can_reach(place, user):
        what = f"{place.parent} is closed to the user PostgreSQL must run as"
        raise ServerError(what, remedy="choose a place for --dir that every user may enter")
    return place
