"""Chaos runner: every promise checked while everything fails. `python -m tests.chaos`, or `make chaos`."""

import argparse
import asyncio
import logging
import os
import platform
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.checker import judged, write
from tests.chaos.collect import collected
from tests.chaos.profile import Deployment, Profile
from tests.chaos.progress import say
from tests.chaos.run import Running, became_idle, inject_faults, reread_log, running
from tests.chaos.waits import Waits, measured_waits

_SHARES: dict[str, dict[Deployment, float]] = {
    "scaled": {"scaled": 1.0},
    "embedded": {"embedded": 1.0},
    "both": {"scaled": 0.75, "embedded": 0.25},
}
_RATE = 40.0
_STOPPED = 130


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("CHAOS_MINUTES", "5")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("CHAOS_SEED", "0")) or secrets.randbelow(10**9))
    parser.add_argument("--deployment", choices=_SHARES, default="both")
    parser.add_argument("--mutant", default="", help="a name of tests/chaos/mutants.py")
    parser.add_argument("--keep", action="store_true", help="leave the folder")
    return parser.parse_args()


async def main(asked: argparse.Namespace, folder: Path) -> bool:
    """Each deployment in turn; whether all went well. PublishedMessage to stop, it tidies up before it goes."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    shares = _SHARES[asked.deployment].items()
    every = [Profile(name, asked.minutes * 60 * share, asked.seed, asked.mutant, _RATE) for name, share in shares]
    return all([await one(profile, folder / profile.deployment) for profile in every])


async def one(profile: Profile, folder: Path) -> bool:
    """One deployment. What did not become quiet is judged all the same: the table may say why."""
    say(f"\n{profile.deployment}: {profile.seconds:.0f} s of faults, seed {profile.seed}")
    async with running(profile, folder) as on:
        await inject_faults(on, profile)
        _report(on, profile)
        idle = await became_idle(on)
        waits = await measured_waits(on) if idle else Waits([], [])
        idle = idle and await became_idle(on)
        stopped = await on.targets.fleet.stop_all()
        evidence = await collected(on.world, folder)
        evidence.waits_alone, evidence.waits_among_others = waits
        say(
            f"waits: alone at most {max(waits.alone, default=0):.2f} s, among others {max(waits.among_others, default=0):.2f} s"
        )
        if idle:
            evidence.sends_after_reread = await reread_log(on, folder)
        write(evidence, folder)
    if not stopped:
        say("NOT STOPPED: a process had to be killed")
    return all([judged(evidence), idle, stopped])


def _report(on: Running, profile: Profile) -> None:
    say(on.targets.counts.table(profile.seconds / 60))
    did = ", ".join(f"{what} {count}" for what, count in sorted(on.customers.did.items()))
    say(f"{on.client.accepted:,} events accepted, {on.client.tried_again} posts repeated; customers: {did}")
    ended = ", ".join(f"{what} {count}" for what, count in sorted(on.targets.fleet.gave_up.items()))
    say(f"ended by themselves (slot:exit code): {ended or 'none'}")


def machine() -> str:
    return f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    asked = arguments()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that a broker is away is the point of it all
    folder = Path(tempfile.mkdtemp(prefix="waymark-chaos-"))
    folder.chmod(0o755)  # PostgreSQL runs as somebody else where we are root
    say(f"seed {asked.seed} on {machine()}; in {folder}")
    try:
        well = asyncio.run(main(asked, folder))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(_STOPPED)
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
    say("all promises kept" if well else f"BROKEN: look with CHAOS_SEED={asked.seed}")
    sys.exit(not well)
