"""How fast is Waymark here? `python -m bench [--quick] [--rows embedded,scaled,raw]`; exit code 1 when a row fails."""

import argparse
import asyncio
import sys

from bench.machine import described
from bench.plan import ROWS, plan_of
from bench.rows import measure, say
from bench.table import table, written


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and events: for a look, not for a claim")
    parser.add_argument("--rows", default=",".join(ROWS), help="which rows (%(default)s)")
    given = parser.parse_args()
    try:
        plan = plan_of(given.rows, quick=given.quick)
    except ValueError as error:
        parser.error(str(error))
    machine = described()
    say(f"{plan.rounds} rounds of {', '.join(plan.deployments)}: about {plan.seconds:.0f} s")
    rows = asyncio.run(measure(plan))
    print(table(machine, rows))
    say(f"everything is in {written(machine, rows)}")
    return int(any(row.failed or not row.rounds for row in rows))


if __name__ == "__main__":
    sys.exit(main())
