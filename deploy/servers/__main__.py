"""Command line of the servers: `python -m deploy.servers up|down|status`."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.servers import env
from deploy.servers.failure import ServerError
from deploy.servers.jars import complete, jar_cache, one_at_a_time
from deploy.servers.kafka import Kafka
from deploy.servers.postgres import Postgres

OK, FAILED, NOT_RUNNING = 0, 1, 3
Server = Kafka | Postgres


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def servers_in(directory: Path) -> dict[str, Server]:
    return {"postgres": Postgres(directory), "kafka": Kafka(directory, heap="1g")}


def up(name: str, server: Server) -> int:
    if name == "kafka" and server.pid is None and not complete(cache := jar_cache(os.environ)):
        say(f"kafka: Maven fetches the jars (44 MB, once) into {cache}")
    begun = time.monotonic()
    try:
        started = server.start()
    except ServerError as error:
        say(f"{name}: {error}")
        return FAILED
    how = f"started in {time.monotonic() - begun:.1f} s" if started else "already running"
    say(f"{name}: {how} (process {server.pid}, log {server.log})")
    return OK


def down(name: str, server: Server) -> int:
    ran = server.pid is not None
    try:
        server.stop()
    except ServerError as error:
        say(f"{name}: {error}")
        return FAILED
    say(f"{name}: {'stopped' if ran else 'not running'}")
    return OK


def status(name: str, server: Server) -> int:
    if server.pid is None:
        say(f"{name}: not running")
        return NOT_RUNNING
    answers = server.answers()
    say(f"{name}: {'running' if answers else 'does not answer'} (process {server.pid}, log {server.log})")
    return OK if answers else NOT_RUNNING


VERBS: dict[str, Callable[[str, Server], int]] = {"up": up, "down": down, "status": status}


def variables(servers: dict[str, Server]) -> dict[str, str]:
    return dict(_variable(server) for server in servers.values() if server.pid is not None)


def _variable(server: Server) -> tuple[str, str]:
    if isinstance(server, Postgres):
        return "WAYMARK_DATABASE_URL", server.url()
    return "WAYMARK_BUS_URL", server.url


def show(directory: Path, running: dict[str, str]) -> None:
    say(f"\n{env.lines(running)}")
    say(f"in a shell that is to use them:  . {directory / env.NAME}")
    say(f"to stop them:                    python -m deploy.servers down --dir {directory}")


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.servers", description=__doc__)
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("--dir", type=Path, default=Path(".servers"), help="where they keep data and logs")
    parser.add_argument("--only", choices=["kafka", "postgres"], help="leave the other one alone")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    asked = arguments(words)
    asked.dir.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(asked.dir / "lock"):
        servers = servers_in(asked.dir)
        chosen = [asked.only] if asked.only else list(servers)
        codes = [VERBS[asked.verb](name, servers[name]) for name in chosen]
        running = variables(servers)
        env.write(asked.dir, running)
    if asked.verb == "up" and running:
        show(asked.dir, running)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
