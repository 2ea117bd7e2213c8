"""Simulation runner: `python -m tests.simulation --seeds N [--first K] [--seed S] [--mutant NAME] [--trace]`."""

import argparse
import os
import sys


def _pinned() -> None:
    """The order of sets hangs on the hash seed: without one, the same seed would not be the same run."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])  # noqa: S606  ourselves


def main() -> int:
    _pinned()
    from tests.simulation.report import show  # noqa: PLC0415  only in the process with the hash seed

    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--mutant")
    parser.add_argument("--teeth", action="store_true", help="every mutant, until a seed notices it")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first seed that fails")
    return show(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
