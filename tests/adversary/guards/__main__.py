"""Runner: `python -m tests.adversary.guards [WORDS ...] [--jobs N] [--without-servers]`, for all guards or those with these words.

Each guard is taken out of a copy of the working tree as it was at the beginning, and the tests that the table names are run there, on the product of that
copy. The run fails where such a test passes, or fails for another reason than the missing guard: nothing could be started.
Tests wait less here than in CI for what does not come, so they run first where nothing is taken out: there they must pass.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from compileall import compile_dir
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import NamedTuple
from xml.etree import ElementTree as ET

from tests.adversary.guards.table import GUARDS, Guard

ROOT = Path(__file__).parents[3]
_LEFT_OUT = shutil.ignore_patterns(".*", "bench", "docs", "dist", "*.egg-info")
_WHAT_RUNS = (
    "import services, shared, tests, waymark; print(waymark.__file__, shared.__path__[0], services.__path__[0])"
)
_NOT_STARTED = "it ended by itself"
"""What the suite says of a product that did not come up (tests/adversary/product.py)."""
_SECONDS_OF_A_GUARD, _SECONDS_OF_ALL = 1200, 3600
_PATIENCE = "0.3"
"""The share of their deadlines that tests wait (tests/make.py): most of the time goes into waiting for what does not come."""


class Noticed(NamedTuple):
    """What became of the tests without the guard: those that failed as they must, and what is wrong with the others."""

    failed: int
    wrong: list[str]
    seconds: float


def main() -> int:
    """Run them; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.adversary.guards")
    parser.add_argument("words", nargs="*", help="only guards whose names have one of these in them")
    parser.add_argument("--jobs", type=int, default=1, help="how many guards at a time")
    parser.add_argument("--without-control", action="store_true", help="take it that all tests pass with every guard")
    parser.add_argument("--without-servers", action="store_true", help="only what needs neither Kafka nor PostgreSQL")
    asked = parser.parse_args()
    wanted = {
        name: guard
        for name, guard in GUARDS.items()
        if (not asked.words or any(word in name for word in asked.words))
        and not (asked.without_servers and guard.servers)
    }
    began = time.monotonic()
    with _copy_of(ROOT) as tree:
        _check_and_compile(tree)
        unfit = [] if asked.without_control else unfit_tests(tree, wanted.values())
        for problem in unfit:
            _say(f"{'UNFIT':11} {problem}")
        with ThreadPoolExecutor(asked.jobs) as pool:
            found = dict(zip(wanted, pool.map(partial(_told, tree), wanted.items()), strict=True))
    unnoticed = sorted(name for name, noticed in found.items() if noticed.wrong)
    used, minutes = getrusage(RUSAGE_CHILDREN), (time.monotonic() - began) / 60
    worked = (used.ru_utime + used.ru_stime) / 60
    _say(f"{len(found) - len(unnoticed)} of {len(found)} guards are noticed when they are gone")
    _say(f"in {minutes:.1f} minutes, of which a core worked {worked:.1f}")
    return 1 if unfit or unnoticed or not found else 0


def unfit_tests(whole: Path, guards: Iterable[Guard]) -> list[str]:
    """What fails where nothing is taken out of the tree: of such a test nothing follows."""
    wanted: dict[bool, set[str]] = {False: set(), True: set()}
    for guard in guards:
        wanted[guard.servers].update(guard.tests)
    found: list[str] = []
    for servers, tests in wanted.items():
        if tests:
            with _copy_of(whole) as tree:
                cases = _run(tree, tests, _SECONDS_OF_ALL, servers=servers)
            found += [cases] if isinstance(cases, str) else [_named(case) for case in cases if _failed(case)]
            _say(f"{'control':11} {len(tests)} tests with every guard, {len(found)} failed")
    return found


def without(whole: Path, guard: Guard) -> Noticed:
    """Run the guard's tests in a copy of the tree without it."""
    began = time.monotonic()
    with _copy_of(whole) as tree:
        file = tree / guard.file
        text = file.read_text("utf8")
        if text.count(guard.old) != 1:
            return Noticed(0, [f"the text stands {text.count(guard.old)} times in {guard.file}, not once"], 0)
        file.write_text(text.replace(guard.old, guard.new), "utf8")
        cases = _run(tree, guard.tests, _SECONDS_OF_A_GUARD, servers=guard.servers)
    if isinstance(cases, str):
        return Noticed(0, [cases], time.monotonic() - began)
    wrong = [problem for test in guard.tests if (problem := _wrong_with(guard, test, _of_test(cases, test)))]
    return Noticed(len(guard.tests) - len(wrong), wrong, time.monotonic() - began)


def _run(tree: Path, tests: Collection[str], seconds: int, *, servers: bool) -> list[ET.Element] | str:
    """The cases of pytest's report on these tests, run in this copy; or why there is none."""
    report = tree / "report.xml"
    marked = "servers" if servers else "not servers"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marked, f"--junitxml={report}"]
    paths = [f"tests/adversary/{test}" for test in sorted(tests)]
    environment = _environment(tree) | {"PATIENCE": _PATIENCE}
    try:
        ran = subprocess.run(  # noqa: S603  our own tests
            [*command, *paths], cwd=tree, env=environment, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"its tests were not over after {seconds} s"
    if not report.exists():
        return (ran.stdout + ran.stderr).decode()[-2000:]
    return list(ET.parse(report).iter("testcase"))  # noqa: S314  pytest wrote it


def _told(whole: Path, named: tuple[str, Guard]) -> Noticed:
    name, guard = named
    noticed = without(whole, guard)
    _say(f"{'NOT NOTICED' if noticed.wrong else 'noticed':11} {name}: {noticed.failed} tests, {noticed.seconds:.0f} s")
    for problem in noticed.wrong:
        _say(f"            {problem}")
    return noticed


@contextmanager
def _copy_of(whole: Path) -> Iterator[Path]:
    """A copy of the tree, with what was compiled of it, in a folder that is removed."""
    with tempfile.TemporaryDirectory(prefix="waymark-guards-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder).resolve() / "tree"
        shutil.copytree(whole, tree, ignore=_LEFT_OUT)
        yield tree


def _check_and_compile(tree: Path) -> None:
    """Compile the tree once for hundreds of processes. Raises RuntimeError where Python would run something else than it."""
    for package in ("deploy", "services", "shared", "tests", "waymark"):
        compile_dir(tree / package, quiet=2)
    found = subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, "-c", _WHAT_RUNS], cwd=tree.parent, env=_environment(tree), capture_output=True, check=True
    )
    if strangers := [path for path in found.stdout.decode().split() if not Path(path).is_relative_to(tree)]:
        raise RuntimeError(f"not the copy would run, but {strangers}")


def _environment(tree: Path) -> dict[str, str]:
    """The copy stands before the checkout that is installed; a product that a test starts inherits it."""
    return {**os.environ, "PYTHONPATH": str(tree)}


def _of_test(cases: Iterable[ET.Element], test: str) -> list[ET.Element]:
    """The cases of this test function."""
    module, _, function = test.partition("::")
    place = f"tests.adversary.{module.removesuffix('.py')}"
    return [one for one in cases if (one.get("classname"), str(one.get("name")).partition("[")[0]) == (place, function)]


def _failed(case: ET.Element) -> bool:
    return case.find("failure") is not None or case.find("error") is not None


def _named(case: ET.Element) -> str:
    problem = next((found for kind in ("error", "failure") if (found := case.find(kind)) is not None), None)
    said = "" if problem is None else str(problem.get("message"))[:300]
    return f"{case.get('classname')}::{case.get('name')}: {said}"


def _wrong_with(guard: Guard, test: str, cases: list[ET.Element]) -> str:
    """Empty where the test failed, in at least one of its cases, because it saw what must not be."""
    failures = [failure.get("message") or "" for case in cases for failure in case.iter("failure")]
    errors = [error.get("message") or "" for case in cases for error in case.iter("error")]
    ended = [] if guard.may_end else [message for message in failures if _NOT_STARTED in message]
    if broken := [*errors, *ended]:
        return f"{test} could not be run: {broken[0][:300]}"
    return "" if failures else f"{test} passed ({len(cases)} cases)"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
