"""Rows: one table of what runs, whether it survives a crash, and about how many seconds a full round takes."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from bench import accounts, console, deployments, intake, lifecycle, memory, road
from bench.peers.java import streams
from bench.peers.runner import Peer, own, python
from bench.rounds import Figures
from bench.session import Session

EXACT = "yes, exact"
REPEATS = "yes, repeats"
NO = "no"
Before = Callable[[Session], Awaitable[str]]
Each = Callable[[Session, int], Awaitable[Figures]]


async def nothing(_: Session) -> str:
    """Ours needs nothing that is not there."""
    return ""


class Row(NamedTuple):
    """One runner. `seconds` is what a round takes in the full plan, `quick` in the quick one."""

    name: str
    group: str
    survives: str
    seconds: float
    quick: float
    each: Each
    before: Before = nothing


def _peer(name: str, survives: str, seconds: float, quick: float, peer: Peer) -> Row:
    return Row(name, "lifecycle", survives, seconds, quick, peer.round, peer.prepared)


LIFECYCLE = (
    Row("ours-minimal", "lifecycle", f"{EXACT}, ids deduped before", 12, 9, lifecycle.minimal),
    Row("ours-shipped", "lifecycle", f"{EXACT}, ids deduped before", 13, 9, lifecycle.shipped),
    _peer("ours-unkept", NO, 7, 5, own("in_memory")),
    _peer("reading", NO, 3, 2, python("reading")),
    _peer("bytewax", NO, 6, 5, python("bytewax")),
    _peer("streams-alos", REPEATS, 8, 6, streams("at_least_once")),
    _peer("streams-eos", f"{EXACT}, no dedupe", 9, 6, streams("exactly_once_v2")),
    _peer("quix-stateless", NO, 7, 4, python("quix", "stateless")),
    _peer("quix-rocksdb", "the process only", 12, 5, python("quix", "rocksdb")),
    _peer("quix-changelog", REPEATS, 13, 6, python("quix", "changelog")),
    _peer("faststream-batch", NO, 10, 4, python("faststream", "batch")),
    _peer("faststream-message", NO, 10, 7, python("faststream", "message", 0.1)),
    _peer("faust-memory", NO, 6, 7, python("faust", "memory", 0.05)),
    _peer("faust-table", REPEATS, 8, 8, python("faust", "table", 0.025)),
    _peer("sensible", f"{EXACT}, deduped", 6, 7, python("sqlalchemy", "sensible", 0.1, database=True)),
    _peer("naive", f"{EXACT}, deduped", 9, 4, python("sqlalchemy", "naive", 0.005, database=True)),
)
MEMORY = (
    Row("replay", "memory", NO, 4, 3, memory.ours),
    Row("replay-bytewax", "memory", NO, 2, 2, memory.bytewax, memory.bytewax_prepared),
)
INTAKE = (
    Row("intake-ours", "intake", "yes, once Kafka has it", 10, 8, partial(intake.taken, intake.ours)),
    Row("intake-service", "intake", "yes, once Kafka has it", 12, 9, partial(intake.taken, intake.service)),
    Row(
        "intake-textbook",
        "intake",
        "yes, once Kafka has it",
        10,
        8,
        partial(intake.taken, intake.textbook),
        intake.web_prepared,
    ),
    Row("intake-bare", "intake", NO, 10, 7, partial(intake.taken, intake.bare), intake.web_prepared),
)
ROAD = (
    Row("road-scaled", "road", f"{EXACT}, ids deduped", 60, 22, partial(road.carried, deployments.scaled)),
    Row("road-embedded", "road", f"{EXACT}, a power cut too", 55, 20, partial(road.carried, deployments.embedded)),
)
ACCOUNTS = (
    Row("accounts-1k", "accounts", f"{EXACT}, ids deduped before", 7, 9, partial(accounts.known, 0)),
    Row("accounts-100k", "accounts", f"{EXACT}, ids deduped before", 8, 12, partial(accounts.known, 1)),
    Row("accounts-1m", "accounts", f"{EXACT}, ids deduped before", 20, 0, partial(accounts.known, 2)),
)
CONSOLE = (Row("console-100k", "console", "reads only", 90, 90, partial(console.lists, 1)),)
ROWS = (*ROAD, *LIFECYCLE, *INTAKE, *ACCOUNTS, *MEMORY, *CONSOLE)
REFERENCE = {
    "road": "road-scaled",
    "accounts": "accounts-1k",
    "lifecycle": "ours-minimal",
    "intake": "intake-ours",
    "memory": "replay",
    "console": "console-100k",
}
"""Our row of each group: the others are told as ratios to it."""
GROUPS = tuple(dict.fromkeys(row.group for row in ROWS))


def chosen(words: str) -> list[Row]:
    """Rows by group or by name. Raises ValueError for a word that is neither."""
    wanted = [word for word in words.split(",") if word]
    known = {*GROUPS, *(row.name for row in ROWS)}
    unknown = [word for word in wanted if word not in known]
    if unknown or not wanted:
        raise ValueError(
            f"no row {', '.join(unknown) or '(none)'}; groups: {', '.join(GROUPS)}; rows: {', '.join(r.name for r in ROWS)}"
        )
    return [row for row in ROWS if row.name in wanted or row.group in wanted]
