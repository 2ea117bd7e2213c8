"""Bench runner: rows beside what a user would pick instead. Exit code 1 when a row fails."""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.machine import described, of_servers
from bench.plan import PLANS, Plan
from bench.report import table, write
from bench.rounds import Result, Turn, interleaved, say
from bench.rows import GROUPS, Row, chosen
from bench.session import Session
from bench.stream import day_to_come
from shared.clock import SystemClock


def main() -> int:
    """Measure, print, write."""
    given, rows = _given()
    plan = PLANS[given.plan]
    plan = plan._replace(rounds=given.rounds or plan.rounds)
    say(
        f"{plan.name}: {plan.rounds} rounds of {len(rows)} rows, {_about(rows, plan)} (fetching peers the first time apart)"
    )
    began, now = time.monotonic(), SystemClock().now()
    machine = described()
    results, servers = asyncio.run(_measured(rows, plan, given.seed, given.keep))
    how = {
        "plan": plan.name,
        "seed": str(given.seed),
        "date": now.isoformat(timespec="seconds"),
        "seconds": f"{time.monotonic() - began:.0f}",
    }
    print(table(how | machine | servers, results))
    say(f"everything is in {write(how, machine | servers, results)}")
    return int(any(result.failed for result in results))


def _given() -> tuple[argparse.Namespace, list[Row]]:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", dest="plan", action="store_const", const="quick", default="full", help="for a look, not for a claim"
    )
    parser.add_argument(
        "--tiny", dest="plan", action="store_const", const="tiny", help="only proves that every row works"
    )
    parser.add_argument("--rows", default=",".join(GROUPS), help="groups or single rows (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the streams of events (%(default)s)")
    parser.add_argument("--rounds", type=int, help="more or fewer of them than the plan has")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs of every process")
    given = parser.parse_args()
    try:
        return given, chosen(given.rows)
    except ValueError as error:
        parser.error(str(error))


def _about(rows: list[Row], plan: Plan) -> str:
    each = sum(row.seconds if plan.name == "full" else row.quick for row in rows)
    return f"about {each * plan.rounds / 60:.0f} minutes"


async def _measured(rows: list[Row], plan: Plan, seed: int, keep: bool) -> tuple[list[Result], dict[str, str]]:
    folder = Path(tempfile.mkdtemp(prefix="waymark-bench-"))
    try:
        async with Session(plan, folder, seed, day_to_come(SystemClock().now()), say) as session:
            turns = [_turn(row, session) for row in rows]
            await interleaved(turns, plan.rounds, say)
            return [turn.result for turn in turns], await of_servers(session)
    finally:
        if keep:
            say(f"logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _turn(row: Row, session: Session) -> Turn:
    result = Result(row.name, row.group, row.survives)
    return Turn(result, partial(row.before, session), partial(row.each, session))


if __name__ == "__main__":
    sys.exit(main())
