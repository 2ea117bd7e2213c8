"""The chaos harness itself: what the run takes for granted, as far as no server is needed."""

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path
from random import Random

import httpx2
import pytest
from aiosmtplib import SMTP, SMTPRecipientsRefused, SMTPResponseException, SMTPServerDisconnected

from deploy.servers.ports import HOST
from deploy.servers.process import command_line
from services.advocacy.loading import definitions
from services.lifecycle.wiring import load_definition
from services.notify.wiring import definition
from shared.bus.protocol import Bounds, Partition
from shared.service.ownership import advance_cursor, claim_partition, lock_cursor
from shared.settings import Settings
from shared.storage import open_storage
from tests.chaos import sinks
from tests.chaos.checker import read, write
from tests.chaos.faults import FAULT_KINDS, plan_faults
from tests.chaos.journal import Journal, Tail, lines
from tests.chaos.process_pool import child_command
from tests.chaos.profile import COMPANY, slots
from tests.chaos.sinks import HOOKS, MAILS, Sinks, run_sinks
from tests.chaos.stream import Stream
from tests.chaos.test_invariants import good
from tests.chaos.witness import CURSOR, observations
from tests.chaos.world import embedded
from tests.make import NOON, FakeClock, eventually

MAIL = b"From: a@b.example\r\nMessage-ID: <d1@b.example>\r\n\r\nsee http://x.example/advocacy/s/token\r\n"


def test_the_same_seed_plans_the_same_faults() -> None:
    assert plan_faults(7, "scaled", 300) == plan_faults(7, "scaled", 300) != plan_faults(8, "scaled", 300)


@pytest.mark.parametrize("deployment", ["scaled", "embedded"])
def test_a_minute_has_more_than_ninety_faults(deployment: str) -> None:
    assert len(plan_faults(1, deployment, 300)) > 5 * 90  # type: ignore[arg-type]


@pytest.mark.parametrize("deployment", ["scaled", "embedded"])
def test_every_kind_is_planned_in_the_shortest_run(deployment: str) -> None:
    """Also those that come less than once a minute."""
    planned = {fault.kind for fault in plan_faults(1, deployment, 20)}  # type: ignore[arg-type]
    assert planned == {kind for kind, rates in FAULT_KINDS.items() if getattr(rates, deployment)}


def test_every_service_has_a_replica_that_may_leave() -> None:
    assert Counter(slot.service for slot in slots("scaled")) == {
        "ingest": 2,
        "lifecycle": 3,
        "notify": 2,
        "advocacy": 2,
    }


def test_the_company_can_be_loaded() -> None:
    settings = Settings(config=COMPANY)
    assert load_definition(settings).version
    assert definition(settings).playbook.plays
    assert definitions(settings).surveys


def test_a_tail_leaves_a_line_that_is_not_whole_for_later(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    tail = Tail(file)
    Journal(file).add({"n": 1})
    with file.open("ab") as torn:
        torn.write(b'{"n": ')
    assert tail.news() == [{"n": 1}]
    with file.open("ab") as torn:
        torn.write(b"2}\n")
    assert tail.news() == [{"n": 2}]
    assert list(lines(file)) == [{"n": 1}, {"n": 2}]


def test_evidence_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    write(good(), tmp_path)
    assert read(tmp_path) == good()


async def ordered(both: Sinks, misbehaviour: str) -> None:
    both.order(misbehaviour)

    async def known() -> bool:
        return both.known == 1

    await eventually(known)


async def sent(port: int) -> None:
    async with SMTP(hostname=HOST, port=port, timeout=60) as client:
        await client.sendmail("a@b.example", ["c@d.example"], MAIL)


@pytest.mark.parametrize(
    ("misbehaviour", "fails", "accepted"),
    [
        ("", None, 1),
        (sinks.SLOW, None, 1),
        (sinks.DROPS, SMTPServerDisconnected, 1),
        (sinks.LATER, SMTPRecipientsRefused, 0),
        (sinks.NEVER, SMTPResponseException, 0),
    ],
)
async def test_the_mail_server_writes_down_what_it_accepts_before_it_answers(
    tmp_path: Path, misbehaviour: str, fails: type[Exception] | None, accepted: int
) -> None:
    struck: list[str] = []
    async with run_sinks(tmp_path, struck.append) as both:
        if misbehaviour:
            await ordered(both, misbehaviour)
        if fails is None:
            await sent(both.mail_port)
        else:
            with pytest.raises(fails):
                await sent(both.mail_port)
        found = list(lines(tmp_path / MAILS))

        async def reported() -> bool:
            return struck == ([misbehaviour] if misbehaviour else [])

        await eventually(reported)
    assert [one["delivery"] for one in found] == ["d1"] * accepted
    assert all(one["links"] == ["http://x.example/advocacy/s/token"] for one in found)


@pytest.mark.parametrize(
    ("misbehaviour", "status", "accepted"), [("", 204, 1), (sinks.FAILS, 500, 0), (sinks.RESET, None, 1)]
)
async def test_the_webhook_receiver_writes_down_what_it_takes_before_it_answers(
    tmp_path: Path, misbehaviour: str, status: int | None, accepted: int
) -> None:
    async with run_sinks(tmp_path, lambda _: None) as both, httpx2.AsyncClient(timeout=60) as http:
        if misbehaviour:
            await ordered(both, misbehaviour)
        try:
            answer = await http.post(f"http://{HOST}:{both.hook_port}/", headers={"webhook-id": "d1"}, content=b"{}")
            answered: int | None = answer.status_code
        except httpx2.TransportError:
            answered = None
    assert answered == status
    assert len(list(lines(tmp_path / HOOKS))) == accepted


async def test_the_witness_sees_every_move_of_a_cursor(tmp_path: Path) -> None:
    place = Partition("usage.v1", 0)
    async with embedded(tmp_path) as world:
        settings = Settings(database_url=world.environment["WAYMARK_DATABASE_URL"])
        async with (
            open_storage(settings, ["lifecycle"], FakeClock(), "test") as stores,
            stores["lifecycle"].database.transaction() as tx,
        ):
            claim = await claim_partition(tx, "lifecycle", place, Bounds(0, 9), "test", NOON)
            assert await advance_cursor(tx, "lifecycle", place, claim, claim._replace(next_offset=5), NOON)
            assert await lock_cursor(tx, "lifecycle", place, claim.epoch, NOON)
        noted = [body async for _, _, body in observations(world.stores, "lifecycle", CURSOR)]
    assert [tuple(body) for body in noted] == [
        ("lifecycle", "usage.v1", 0, 0, 0, 1),
        ("lifecycle", "usage.v1", 0, 0, 5, 1),
        ("lifecycle", "usage.v1", 0, 5, 5, 1),
    ]


async def test_a_child_dies_with_its_parent() -> None:
    """The parent starts a child that binds itself to it, tells who it is, and is killed."""
    child = "import sys,time;from tests.chaos.process_pool import exit_with_parent;exit_with_parent({});print('bound',flush=True);time.sleep(60)"
    parent = (
        "import os,subprocess,sys;"
        f"code={child!r}.format(os.getpid());"
        "one=subprocess.Popen([sys.executable,'-c',code],stdout=subprocess.PIPE);"
        "one.stdout.readline();print(one.pid,flush=True);one.wait()"
    )
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", parent, stdout=pipe, cwd=COMPANY.parents[2])
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    process.kill()
    await process.wait()

    async def gone() -> bool:
        return not command_line(pid)

    await eventually(gone)


def test_a_module_is_started_with_its_parents_id_first() -> None:
    assert child_command("tests.chaos.sinks", "there") == [
        sys.executable,
        "-m",
        "tests.chaos.sinks",
        str(os.getpid()),
        "there",
    ]


class _Client:
    """Keeps what is posted."""

    def __init__(self) -> None:
        self.batches: list[list[dict[str, object]]] = []

    async def post(self, batch: list[dict[str, object]]) -> None:
        self.batches.append(list(batch))


async def test_the_stream_repeats_itself_on_purpose_and_names_its_mistakes(tmp_path: Path) -> None:
    client, allowed = _Client(), Journal(tmp_path / "allowed")
    stream = Stream(client, Random(3), FakeClock(), allowed, rate=4000)  # type: ignore[arg-type]
    running = asyncio.create_task(stream.run())

    async def enough() -> bool:
        return len(client.batches) > 300

    await eventually(enough)
    stream.stopped = True
    await running
    events = [event for batch in client.batches for event in batch]
    times = Counter(event["messageId"] for event in events)
    wrong = {name for line in lines(tmp_path / "allowed") for name in line}
    assert sum(many > 1 for many in times.values()) > 20
    assert {event["type"] for event in events if event["messageId"] not in wrong} == {"track", "identify"}
    assert all(event.get("context") for event in events if event["messageId"] not in wrong)
