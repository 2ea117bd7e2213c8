"""Files of the repository: what git tracks or would track; without git, all but hidden and generated ones."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from deploy.servers.process import run

ROOT = Path(__file__).parents[3]
_GENERATED = {"__pycache__", "node_modules", "target"}


def tracked() -> list[Path]:
    """Every file of the repository, by its path in it."""
    code, said = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT)
    names = map(Path, said.split("\0")) if code == 0 else _walked()
    return sorted(name for name in set(names) if (ROOT / name).is_file())


def _walked() -> Iterator[Path]:
    for file in ROOT.rglob("*"):
        name = file.relative_to(ROOT)
        if not any(part.startswith(".") or part in _GENERATED for part in name.parts):
            yield name


def modules(*tops: str) -> list[Path]:
    """The Python files under these folders, without the revisions of migrations."""
    return [
        name for name in tracked() if name.suffix == ".py" and name.parts[0] in tops and "versions" not in name.parts
    ]


def text(name: Path) -> str:
    """What it says; empty for what is no text."""
    return (ROOT / name).read_bytes().decode("utf8", "ignore")


def named(paths: Iterable[Path], *names: str) -> list[str]:
    """The paths of which a part is one of these names."""
    return [str(path) for path in paths if {path.stem, *path.parts[:-1]} & set(names)]
