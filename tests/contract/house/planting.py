"""Planted violations: a copy of the packages, a bad line in it, and what lint-imports says of the copy."""

import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.servers.process import run
from tests.contract.house.files import ROOT

PACKAGES = ("shared", "services", "waymark")
_LINT = Path(sys.executable).parent / "lint-imports"
_VERDICT = re.compile(r"^(.+) (KEPT|BROKEN)(?: \(.*\))?$", re.MULTILINE)


def copied(folder: Path) -> Path:
    """A copy of our packages and their contracts."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@contextmanager
def planted(folder: Path, lines: Mapping[str, str]) -> Iterator[None]:
    """Each line stands at the end of its module until the block ends."""
    there = set(folder.rglob("*"))
    files = {_file(folder, module.split(".")): line for module, line in lines.items()}
    before = {file: file.read_text("utf8") for file in files if file in there}
    for file, line in files.items():
        file.write_text(f"{before.get(file, '')}\n{line}\n", "utf8")
    try:
        yield
    finally:
        for file, was in before.items():
            file.write_text(was, "utf8")
        for new in sorted(set(folder.rglob("*")) - there, reverse=True):
            new.rmdir() if new.is_dir() else new.unlink()


def verdicts(folder: Path) -> dict[str, str]:
    """Contract -> KEPT or BROKEN, as lint-imports says."""
    code, said = run([str(_LINT), "--no-cache", "--no-logo"], cwd=folder)
    found = dict(_VERDICT.findall(said))
    if not found or (code != 0) != ("BROKEN" in found.values()):
        raise AssertionError(f"lint-imports ended with {code}:\n{said}")
    return found


def _file(folder: Path, names: list[str]) -> Path:
    """Where the module stands; packages on the way to a new one are made."""
    package = folder.joinpath(*names)
    if package.is_dir():
        return package / "__init__.py"
    for parent in reversed(package.relative_to(folder).parents[:-1]):
        (folder / parent).mkdir(exist_ok=True)
        (folder / parent / "__init__.py").touch()
    return package.with_suffix(".py")
