"""What is told of the seeds? How many were run, what went wrong in them, and how often each promise was looked at."""

import argparse
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import structlog

from tests.chaos.mutants import planted
from tests.simulation.files import Templates
from tests.simulation.run import Report, run
from tests.simulation.teeth import bites

say = print
SEEDS_ENOUGH = 10
"""With fewer, a promise may happen not to be looked at."""


def show(wanted: argparse.Namespace) -> int:
    """Run them; 1 when something is broken."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    seeds = [wanted.seed] if wanted.seed is not None else range(wanted.first, wanted.first + wanted.seeds)
    with tempfile.TemporaryDirectory() as folder:
        if wanted.teeth:
            return _teeth(Templates(Path(folder)))
        return _all(seeds, wanted, Templates(Path(folder)))


def _all(seeds: Iterable[int], wanted: argparse.Namespace, templates: Templates) -> int:
    began, done, failed = time.monotonic(), list[Report](), 0
    for seed in seeds:
        with planted(wanted.mutant) if wanted.mutant else nullcontext():
            report = run(seed, templates, show=wanted.trace)
        done.append(report)
        if not report.kept:
            failed += 1
            _failed(report, wanted)
            if not wanted.keep_going:
                break
    _sum(done, time.monotonic() - began)
    return 1 if failed or _unseen(done) else 0


def _teeth(templates: Templates) -> int:
    toothless = 0
    for bite in bites(templates):
        toothless += not bite.noticed
        found = f"{' '.join(bite.broken) or 'nothing'} with seed {bite.seed}{'' if bite.kept else ', which fails without it too'}"
        say(f"{bite.mutant:28} {'noticed' if bite.noticed else 'NOT NOTICED'} {found}", flush=True)
    return 1 if toothless else 0


def _failed(report: Report, wanted: argparse.Namespace) -> None:
    mutant = f" --mutant {wanted.mutant}" if wanted.mutant else ""
    say(f"seed {report.seed} FAILED")
    for verdict in report.verdicts:
        if verdict.broken:
            say(f"  {verdict}")
    for line in [*report.halted, *(f"never quiet: {one}" for one in report.stuck), *report.unhandled]:
        say(f"  {line}")
    say(f"  again: PYTHONHASHSEED=0 python -m tests.simulation --seed {report.seed} --trace{mutant}")


def _sum(done: list[Report], seconds: float) -> None:
    faults = sum((report.faults for report in done), Counter[str]())
    say(f"{len(done)} seeds in {seconds:.0f} s: {sum(r.hours for r in done):,.0f} virtual hours,", end=" ")
    say(f"{sum(r.commits for r in done):,} transactions, {sum(faults.values()):,} faults")
    for kind, many in faults.most_common():
        say(f"  {many:7,} {kind}")
    for code, (promise, checked) in _checked(done).items():
        say(f"  {code:>4} {checked:9,} checked: {promise}")
    if len(done) == 1:
        say(f"trace: {len(done[0].trace.lines):,} lines, digest {done[0].trace.digest()}")


def _checked(done: list[Report]) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for report in done:
        for one in report.verdicts:
            found[one.code] = (one.promise, found.get(one.code, ("", 0))[1] + one.checked)
    return found


def _unseen(done: list[Report]) -> bool:
    """A promise that no seed had anything to say about is not kept."""
    unseen = [code for code, (_, checked) in _checked(done).items() if not checked]
    if unseen and len(done) >= SEEDS_ENOUGH:
        say(f"nothing was checked for {', '.join(unseen)}")
    return bool(unseen) and len(done) >= SEEDS_ENOUGH
