"""However three services read what happened, and in whatever batches, it comes to the same: states, decisions, plans, invitations, money."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random  # noqa: TID251  seeded by the case
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.advocacy.loading import definitions
from services.lifecycle.wiring import load_definition
from services.notify.wiring import definition
from shared.contracts.usage import HISTORY_ENDED, UsageEvent
from shared.settings import Settings
from tests.make import NOON, FakeClock, usage_event
from tests.service.three_services import Company, Rows, Schedule, ThreeServices
from tests.simulation.loop import VirtualLoop
from waymark import migrations

CASES = int(os.environ.get("ORDERS", "60"))
"""5,000 in `make verify`."""
COMPANY = Path(__file__).parents[1] / "simulation/company"
ACCOUNTS = ("acme", "birch", "cedar")
_PAST = timedelta(days=30)
_MOST_OF_IT = timedelta(days=29)
KINDS = (
    *("used:a", "used:a", "used:b", "used:c", "goal_reached", "goal_reached", "nps_answered", "identify", "identify"),
    *("invoice_failed", "invoice_paid", "invoice_paid", "referral_code_issued"),
    *("referred_signup", "referred_signup", "subscription_started", "champion_left"),
)
IN_TIME = frozenset({"invoice_paid", "referred_signup", "referral_code_issued"})
"""What two accounts share, a referral, is told in time and not taken back: when its code came would decide what was booked meanwhile."""
_MOST_USES = 4
"""Use comes in bursts of so many events at most: four in three days make an account an active one."""


class Word(NamedTuple):
    """One event: so many hours after the one before, by whom, with which number; told so many hours late."""

    hours: int
    kind: str
    user: int
    number: int
    late: int


class Story(NamedTuple):
    """One account: after how many hours of the month it begins, who referred it (0: nobody), its history and its live days."""

    begins: int
    referred: int
    past: list[Word]
    live: list[Word]


WORDS = st.builds(
    Word,
    hours=st.sampled_from([0, 1, 5, 11, 19, 26, 50, 90]),
    kind=st.sampled_from(KINDS),
    user=st.integers(0, 1),
    number=st.integers(0, 10),
    late=st.sampled_from([0, 0, 0, 0, 0, 1, 30, 100]),
)
STORIES = st.lists(
    st.builds(
        Story,
        begins=st.sampled_from([0, 0, 7, 50]),
        referred=st.integers(0, 2),
        past=st.lists(WORDS, min_size=2, max_size=14),
        live=st.lists(WORDS, max_size=4),
    ),
    min_size=2,
    max_size=3,
)
_MOST_CHOICES = 400
CHOICES = st.builds(
    lambda seed, many: Random(seed).choices(range(256), k=many),  # noqa: S311  which of many orders
    st.integers(0, 2**32),
    st.integers(0, _MOST_CHOICES),
)
"""Drawn from a seed: a list that hypothesis draws is short. How many they are shrinks: those that are left out are 0."""


def _events(account: str, number: int, word: Word, at: Any, **told: Any) -> list[UsageEvent]:
    times = word.number % _MOST_USES + 1 if word.kind.startswith("used") else 1
    at -= timedelta(hours=0 if word.kind in IN_TIME else word.late)
    return [_event(account, f"{account}{number}.{time}", word, at, **told) for time in range(times)]


def _event(account: str, name: str, word: Word, at: Any, **told: Any) -> UsageEvent:
    n, user = word.number, f"{account}-{word.user}"
    common = {"at": at, "user": user, **told}
    if word.kind == "identify":
        traits = {"email": f"{user}@{account}.example", "role": ("user", "admin", "champion")[n % 3], "name": f"N{n}"}
        more = {"unsubscribed": True} if n == 7 else {}
        return usage_event(name, account, type="identify", name="", properties=traits | more, **common)
    others = [one for one in ACCOUNTS if one != account]
    properties = {
        "score": n,
        "invoice_id": n % 2,
        "amount": 100 + n,
        "mrr": 100 * n,
        "referral_code": f"CODE-{(account if word.kind == 'referral_code_issued' else others[n % 2]).upper()}",
    }
    return usage_event(name, account, name=word.kind, properties=properties, **common)


def history(account: str, story: Story) -> list[UsageEvent]:
    """An import of a month, in the order of its file; then the wall clock takes over."""
    at, told = (
        NOON - _PAST + timedelta(hours=story.begins),
        {"history": "import-1", "trust": "import", "received_at": NOON},
    )
    first = [Word(0, "identify", 0, 1, 0), Word(0, "referral_code_issued", 0, 0, 0)]
    first += [Word(1, "referred_signup", 0, story.referred, 0)] if story.referred else []
    events = list[UsageEvent]()
    for number, word in enumerate([*first, *story.past]):
        at = min(at + timedelta(hours=word.hours), NOON - _PAST + _MOST_OF_IT)
        events += _events(account, number, word, at, **told)
    ended = usage_event(f"{account}-ended", account, name=HISTORY_ENDED, at=NOON, properties={"live": True}, **told)
    return [*events, ended]


async def _outcome(company: Company, file: Path, stories: Sequence[Story], choices: Sequence[int]) -> Rows:
    schedule, clock = Schedule(choices), FakeClock()
    told = dict(zip(ACCOUNTS, stories, strict=False))
    services = ThreeServices(company, file, [*told], clock)
    try:
        for account, story in told.items():
            services.publish(history(account, story))
        again = schedule.some([*told])[:1] if schedule.one_of(2) else []
        await services.in_any_order(schedule, again)
        await services.settle(schedule)
        for number in range(max(len(story.live) for story in stories)):
            await _a_day(services, told, number, schedule)
        clock.move(timedelta(days=1))
        await services.in_order_of_cause(schedule)
        return await services.rows()
    finally:
        await services.database.close()


async def _a_day(services: ThreeServices, told: dict[str, Story], number: int, schedule: Schedule) -> None:
    """Time passes up to the next midnight and beyond; then each account's people do one thing."""
    services.clock.move(timedelta(hours=13))
    await services.in_order_of_cause(schedule)
    for account, story in told.items():
        if number < len(story.live):
            word, imported = story.live[number], {"history": "import-2", "trust": "import"}
            name, of_import = 100 + number, imported if word.late and word.number % 2 else {}
            services.publish(_events(account, name, word, services.clock.now(), **of_import))
    await services.in_order_of_cause(schedule)


class Workshop(NamedTuple):
    """What all cases share: the company, and an empty database with every table."""

    company: Company
    template: Path
    file: Path

    def outcome(self, stories: Sequence[Story], choices: Sequence[int]) -> Rows:
        """What comes of these stories, read so."""
        for name in (self.file, *self.file.parent.glob(f"{self.file.name}-*")):
            name.unlink(missing_ok=True)
        shutil.copyfile(self.template, self.file)
        loop = VirtualLoop()
        try:
            return loop.run_until_complete(_outcome(self.company, self.file, stories, choices))
        finally:
            loop.close()


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  in memory, where there is such a place
    with tempfile.TemporaryDirectory(prefix="three-services-", dir=memory) as name:
        folder = Path(name)
        template = folder / "template.db"
        migrations.migrate(Settings(database_url=f"sqlite:///{template}"), ["lifecycle", "notify", "advocacy"])
        yield Workshop(_company(folder), template, folder / "case.db")


def _company(folder: Path) -> Company:
    """The simulation's company, whose rules read what comes back to an account as well: conversions."""
    config = shutil.copytree(COMPANY, folder / "company")
    text = (config / "lifecycle.yaml").read_text("utf8")
    text = text.replace("events:\n", "events:\n  referral: {match: [referral_converted]}\n", 1)
    text = text.replace("milestones:\n", "milestones:\n  first_referral: {of: referral}\n", 1)
    (config / "lifecycle.yaml").write_text(text, "utf8")
    of = Settings(config=config, data=folder)
    return Company(load_definition(of), definition(of), definitions(of))


def different(one: Rows, other: Rows) -> dict[str, list[str]]:
    """Of each table the rows that only one of them has."""
    found = {name: sorted(map(repr, set(map(repr, one[name])) ^ set(map(repr, other[name])))) for name in one}
    return {name: few for name, few in found.items() if few}


@settings(max_examples=CASES, deadline=None)
@given(stories=STORIES, choices=CHOICES)
def test_no_order_of_reading_and_no_batching_changes_what_it_comes_to(
    workshop: Workshop, stories: list[Story], choices: list[int]
) -> None:
    orderly = workshop.outcome(stories, ())
    assert different(orderly, workshop.outcome(stories, choices)) == {}
