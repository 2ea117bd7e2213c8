"""Demo folder: the demo's own data, apart from anything real, and never removed under a process or without asking."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import msgspec

from shared.failures import Refused
from shared.files import private_folder
from shared.settings import BUNDLED_CONFIG, Settings
from shared.storage import sole_user

_MARK = "demo.json"
_OWN = ("host", "port", "config", "log_format", "public_url", "session_seconds", "protect")
"""The settings that a demo shares with the real installation. Databases, logs, keys, mail servers it does not."""
_ELSEWHERE = ("database_url", "bus_url")

Ask = Callable[[str], bool]
"""Asks a person a question that yes or no answers; False where nobody can be asked."""


class Mark(msgspec.Struct, frozen=True):
    """What was replayed into the folder. While it is not `finished`, nobody has worked in it."""

    seed: int
    day: date
    finished: bool = False


class Demo(NamedTuple):
    """The demo's own settings, and what its folder holds or is to be filled with."""

    settings: Settings
    mark: Mark


def demo_settings(settings: Settings) -> Settings:
    """The settings of the demo: embedded, in a folder of its own, in preview."""
    shared = {name: getattr(settings, name) for name in _OWN}
    own = {name: field.get_default(call_default_factory=True) for name, field in Settings.model_fields.items()}
    if not settings.config.exists():
        shared["config"] = BUNDLED_CONFIG
    return Settings.model_construct(**own | shared | {"data": settings.data / "demo"})


def unused(settings: Settings) -> list[str]:
    """The variables that name a real database or log, which the demo leaves alone."""
    return [f"WAYMARK_{name.upper()}" for name in _ELSEWHERE if getattr(settings, name)]


def prepare(settings: Settings, seed: int, today: date, *, reset: bool, ask: Ask) -> Demo:
    """Empty the folder for a new demo, or keep the one that is there, whatever was done in it.

    Nothing is touched while another process uses it. Raises Refused then, and where it is not known what may be removed.
    """
    own = demo_settings(settings)
    private_folder(own.data)
    with sole_user(own):
        found = _read_mark(own.data)
        if not reset and found is not None and found.finished and found.seed == seed:
            return Demo(own, found)
        held = _contents(own.data)
        unfinished = found is not None and not found.finished
        if held and not reset and not unfinished and not ask(f"{own.data} holds another demo. Remove it?"):
            raise Refused(f"{own.data} holds another demo, perhaps with work in it: `waymark demo --reset` removes it")
        for path in held:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        mark = Mark(seed, today)
        _write_mark(own.data, mark)
    return Demo(own, mark)


def finish(demo: Demo) -> None:
    """The demo is whole: from now on what is done in it is somebody's work."""
    _write_mark(demo.settings.data, msgspec.structs.replace(demo.mark, finished=True))


def _contents(folder: Path) -> list[Path]:
    """Everything but the lock, which is held: another process would lock another file."""
    return [path for path in folder.iterdir() if path.suffix != ".lock"]


def _read_mark(folder: Path) -> Mark | None:
    try:
        return msgspec.json.decode((folder / _MARK).read_bytes(), type=Mark)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _write_mark(folder: Path, mark: Mark) -> None:
    (folder / _MARK).write_bytes(msgspec.json.encode(mark))
