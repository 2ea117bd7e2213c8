"""Which rows are there, and what came of each? Rounds of the deployments take turns, so that noise meets both."""

import os
import shutil
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from bench.deployments import deployment
from bench.measures import Figures, measured
from bench.plan import Plan
from bench.raw import raw_rate
from bench.servers import Servers, servers

SURVIVES = {
    "embedded": "yes, exactly once; power cut too (SQLite, synchronous=FULL)",
    "scaled": "yes, exactly once (acks=all, state and cursor in one PostgreSQL transaction)",
    "raw": "no: keeps nothing",
}


class Row(msgspec.Struct):
    """One row's rounds, and why it failed (empty: it did not)."""

    name: str
    survives: str
    rounds: list[Figures] = []
    failed: str = ""


async def measure(plan: Plan) -> list[Row]:
    """Every row of the plan."""
    rows = {name: Row(name, SURVIVES[name]) for name in plan.rows}
    folder = Path(tempfile.mkdtemp(prefix="waymark-bench-"))
    try:
        async with AsyncExitStack() as stack:
            theirs = await _started(stack, plan, rows, folder)
            for number in range(plan.rounds):
                for name in plan.deployments:
                    await _attempt(rows, name, plan, None if name == "embedded" else theirs, folder / f"{name}{number}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return list(rows.values())


async def _started(stack: AsyncExitStack, plan: Plan, rows: dict[str, Row], folder: Path) -> Servers | None:
    if "scaled" not in plan.deployments:
        return None
    say("starting Kafka and PostgreSQL")
    try:
        return await stack.enter_async_context(servers(folder))
    except Exception as error:  # noqa: BLE001  whatever it is, the other rows are still worth having
        _fail(rows, "scaled", error)
        return None


async def _attempt(rows: dict[str, Row], name: str, plan: Plan, theirs: Servers | None, folder: Path) -> None:
    touched = [rows[row] for row in _rows_of(name) if row in rows]
    if any(row.failed for row in touched):
        return
    try:
        await _round(rows, name, plan, theirs, folder)
    except Exception as error:  # noqa: BLE001  a row that fails says so
        _fail(rows, name, error)


async def _round(rows: dict[str, Row], name: str, plan: Plan, theirs: Servers | None, folder: Path) -> None:
    async with deployment(folder.name, theirs, folder) as running:
        _keep(rows, name, await measured(running, plan))
        settings = running.settings
    if theirs is not None:
        if "raw" in rows:
            _keep(rows, "raw", await raw_rate(settings, os.getpid()))
        await theirs.dropped(settings)


def _keep(rows: dict[str, Row], name: str, figures: Figures) -> None:
    said = "  ".join(f"{what} {figure:,.0f}" for what, figure in figures.items())
    say(f"{name}: {said}")
    if name in rows:
        rows[name].rounds.append(figures)


def _fail(rows: dict[str, Row], name: str, error: Exception) -> None:
    say(f"{name} failed: {error!r}")
    for row in _rows_of(name):
        if row in rows:
            rows[row].failed = str(error) or repr(error)


def _rows_of(name: str) -> tuple[str, ...]:
    return ("embedded",) if name == "embedded" else ("scaled", "raw")


def say(text: str) -> None:
    """Progress, on standard error."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()
