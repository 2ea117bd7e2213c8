"""Runners of the bench: real processes that follow its protocol, honest and not; and our own rows, small."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench import lifecycle, memory
from bench.errors import InvalidResult
from bench.peers.venvs import PEERS, done
from bench.plan import TINY
from bench.rows import ROWS
from bench.session import Session
from bench.stream import day_to_come
from bench.topics import PARTITIONS
from deploy.servers import Kafka, Postgres
from shared.clock import SystemClock

PROGRAM = """
import json
from pathlib import Path
from peer import Progress, done, end, fold, job, keep, state, tell, transition

of, accounts, told = job(), {{}}, {{}}
progress = Progress(of)
for number, line in enumerate(Path(of.topic).read_bytes().split(b"\\n")):
    progress.one()
    event = json.loads(line)
    if {drops}:
        continue
    kept = accounts.setdefault(event["account"], state())
    if fold(kept, event["properties"]["feature"], event["at"], of.threshold):
        told[event["account"]] = {told}
{ends}
"""
ENDS = "done(); keep(of, accounts); tell(of, told); end()"


@pytest.fixture
async def session(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Session]:
    plan = TINY._replace(events=getattr(request, "param", 3_000), memory=3_000)
    async with Session(plan, tmp_path, 1, day_to_come(SystemClock().now()), lambda _: None) as one:
        yield one


def runner(session: Session, drops: str = "False", told: str = "1", ends: str = ENDS) -> list[str]:
    program = session.folder / "runner.py"
    program.write_text(PROGRAM.format(drops=drops, told=told, ends=ends))
    return [sys.executable, str(program)]


async def test_an_honest_runner_gets_a_figure(session: Session) -> None:
    figures = await memory.drain(session, runner(session), (PEERS,))

    assert figures["events/s"] > 0


@pytest.mark.parametrize(
    ("lie", "heard"),
    [
        ({"drops": "number == 300"}, "2999 events were counted of 3000"),
        ({"told": "2"}, "[0-9]+ transitions differ"),
        ({"ends": "done(); keep(of, accounts); tell(of, {}); end()"}, "[0-9]+ transitions differ"),
        ({"ends": "raise SystemExit('no disk left')"}, "no disk left"),
    ],
    ids=["drops one event", "tells twice", "tells nothing", "breaks off"],
)
async def test_a_runner_that_lies_gets_none(session: Session, lie: dict[str, str], heard: str) -> None:
    with pytest.raises(InvalidResult, match=heard):
        await memory.drain(session, runner(session, **lie), (PEERS,))


async def test_the_replay_of_our_core_is_right(session: Session) -> None:
    assert (await memory.ours(session, 0))["events/s"] > 0


@pytest.mark.servers
@pytest.mark.parametrize("session", [3 * PARTITIONS * 10_000], indirect=True, ids=["more than one look can see"])
async def test_our_service_drains_a_topic_and_is_right(
    session: Session, kafka: Kafka, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYMARK_BUS_URL", kafka.url)
    monkeypatch.setenv("WAYMARK_DATABASE_URL", postgres.url("postgres"))
    for row in (one for one in ROWS if one.each in {lifecycle.minimal, lifecycle.shipped}):
        assert (await row.each(session, 0))["events/s"] > 0


async def test_what_cannot_be_installed_says_why_and_not_from_where() -> None:
    program = "raise SystemExit('no such version at ' + 'https:' + '//packages.example:8080/simple')"

    with pytest.raises(InvalidResult, match=r"could not install it: no such version at \(address\)$"):
        await done([sys.executable, "-c", program], "install it")
