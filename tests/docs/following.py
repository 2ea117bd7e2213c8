"""How-to follower: does what a page of docs/howto says, in a copy of the packages, and runs the page's own check there.

A step of a page is a sentence ending in a colon, with a code block below it:

- Write `services/notify/channels/slack.py`:
- In `shared/settings.py`, below `webhook_secret:`: (the first line that begins so; `above` and `instead of` likewise)
- In `services/notify/core/engine.py`, in `_fire`, above `return step.fire(`: (the first such line of that function)
- At the end of `services/lifecycle/http/models.py`:
- Try it: (a program that must end without an error)
"""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from deploy.servers.process import run
from tests.contract.house.files import ROOT
from tests.contract.house.planting import PACKAGES

_STEP = re.compile(
    r"^(?:\d+\. )?(?P<doing>Write|In|At the end of|Try it)(?: `(?P<file>[^`]+)`)?(?:, in `(?P<function>[^`]+)`)?(?:, (?P<where>below|above|instead of) `(?P<line>[^`]+)`)?:\n\n"
    r"```\w+\n(?P<block>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Step(NamedTuple):
    """One thing to do: which text goes into which file, and where."""

    doing: str
    file: str
    function: str
    where: str
    line: str
    block: str

    def __str__(self) -> str:
        return f"{self.doing} {self.file}".replace("/", ".")


class HowTo(NamedTuple):
    """A page: its steps, and the program that shows that they worked."""

    steps: Sequence[Step]
    check: str


def read(page: Path) -> HowTo:
    """The steps of a page. Raises ValueError for a code block that no sentence introduces, and for a page without a check."""
    text = page.read_text("utf8")
    found = [Step(*(match[name] or "" for name in Step._fields)) for match in _STEP.finditer(text)]
    if len(found) != text.count("\n```") // 2:
        raise ValueError(f"{page.name} has a code block without a sentence that says what to do with it")
    checks = [step.block for step in found if step.doing == "Try it"]
    if len(checks) != 1:
        raise ValueError(f"{page.name} needs one block under 'Try it:'")
    return HowTo([step for step in found if step.doing != "Try it"], checks[0])


def copied(folder: Path) -> Path:
    """A copy of our packages, of the shipped definitions and of the settings of our tools."""
    for package in (*PACKAGES, "config"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def follow(step: Step, folder: Path) -> None:
    """Do it. Raises ValueError where the page speaks of a line that is not there."""
    file = folder / step.file
    if step.doing == "Write":
        if file.exists():
            raise ValueError(f"{step.file} is there already")
        file.write_text(step.block, "utf8")
        return
    lines = file.read_text("utf8").splitlines()
    at = len(lines) if step.doing == "At the end of" else _place(step, lines)
    indent = "" if step.doing == "At the end of" else lines[at - 1 if step.where == "below" else at]
    margin = indent[: len(indent) - len(indent.lstrip())]
    apart = ["", ""] if step.doing == "At the end of" else []
    lines[at : at + (step.where == "instead of")] = apart + textwrap.indent(step.block, margin).splitlines()
    file.write_text("\n".join(lines) + "\n", "utf8")


def _place(step: Step, lines: list[str]) -> int:
    begin = _find(f"def {step.function}(", lines, step.file) if step.function else 0
    return begin + _find(step.line, lines[begin:], step.file) + (step.where == "below")


def _find(beginning: str, lines: list[str], file: str) -> int:
    found = (number for number, line in enumerate(lines) if line.lstrip().startswith(beginning))
    number = next(found, None)
    if number is None:
        raise ValueError(f"no line of {file} begins with '{beginning}'")
    return number


def linted(howto: HowTo, folder: Path, cache: Path) -> tuple[int, str]:
    """The exit code of ruff and mypy on the files that the page touches, and what they wrote. The order of imports, which
    a page cannot know, is left to `ruff check --fix`.
    """
    files = sorted({step.file for step in howto.steps if step.file.endswith(".py")})
    if not files:
        return 0, ""
    tools = Path(sys.executable).parent
    for command in (
        ["ruff", "check", "--no-cache", "--ignore", "I001"],
        ["mypy", "--cache-dir", str(cache)],
    ):
        code, said = run([str(tools / command[0]), *command[1:], *files], cwd=folder)
        if code != 0:
            return code, said
    return 0, ""


def tried(check: str, folder: Path) -> tuple[int, str]:
    """The exit code of the page's check in the copy, and what it wrote. Our tests can be imported there too."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    return run([sys.executable, "-W", "error", "-c", check], cwd=folder, environ={**os.environ, "PYTHONPATH": path})
