"""A year of real usage leads to the right dates, and to the same history however it is run.

Data: Kuzilek J., Hlosta M., Zdrahal Z. Open University Learning Analytics dataset. Sci. Data 4:170171 (2017), CC BY 4.0.
"""

import asyncio
import csv
import gzip
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from shared.settings import Settings
from tests.conftest import embedded, scaled
from tests.journey.services import RunningServices, run_services
from tests.make import NOON

pytestmark = pytest.mark.real_data
SAMPLE = "sample_AAA_2013J_events.ndjson.gz"
START = datetime(2013, 10, 1, tzinfo=UTC)
EVENTS, ACCOUNTS = 101_288, 383
FEW = 4
"""Every fourth account, with all its events, goes where the whole has been compared already: its story is the same there."""
TOLD = (
    "id",
    "kind",
    "at",
    "stage",
    "previous",
    "evidence",
    "flag",
    "raised",
    "signal",
    "milestone",
    "reached_at",
    "band",
)


async def story(on: RunningServices) -> dict[str, Any]:
    """Each account's stage, and everything decided about it, with the evidence; the wall clock's times left out."""
    accounts = await on.pages("/lifecycle/v1/accounts", limit=500)
    told = {}
    for account in accounts:
        history = await on.pages(f"/lifecycle/v1/accounts/{account['id']}/history", limit=500)
        told[account["id"]] = (account["stage"], [{name: one.get(name) for name in TOLD} for one in history])
    return told


async def outreach(on: RunningServices) -> list[Any]:
    return await on.pages("/notify/v1/outbox", limit=500) if "notify" in on.assembly.services else []


def few(oulad: Path, folder: Path) -> Path:
    """The sample of every fourth account."""
    with gzip.open(oulad / SAMPLE, "rb") as whole:
        lines = [(msgspec.json.decode(line)["account_id"], line) for line in whole]
    chosen = set(sorted({account for account, _ in lines})[::FEW])
    with gzip.open(folder / "few.ndjson.gz", "wb", compresslevel=1) as file:
        file.writelines(line for account, line in lines if account in chosen)
    return folder / "few.ndjson.gz"


def of_few(story: dict[str, Any], accounts: Iterable[str]) -> dict[str, Any]:
    return {account: story[account] for account in accounts}


def expected(oulad: Path) -> dict[str, dict[str, datetime | None]]:
    """First activity, first submission and cancellation of each account, as the data's own derivation has them."""
    with gzip.open(oulad / "main/expected_milestones.csv.gz", "rt", encoding="utf8") as handle:
        rows = [r for r in csv.DictReader(handle) if (r["code_module"], r["code_presentation"]) == ("AAA", "2013J")]
    return {
        f"L{row['id_student']}": {
            "first_use": _day(row["first_activity"]),
            "first_value": _day(row["first_submission"]),
            "cancelled": _day(row["date_unregistration"]),
        }
        for row in rows
    }


def _day(number: str) -> datetime | None:
    return START + timedelta(days=int(float(number))) if number else None


class Told(NamedTuple):
    """What one deployment says after the import, and after importing the same file once more, where that was done."""

    accounts: dict[str, dict[str, Any]]
    story: dict[str, Any]
    outbox: list[Any]
    again: dict[str, Any] | None = None
    outbox_again: list[Any] | None = None


async def told(settings: Settings, file: Path, batch_size: int = 500, *, twice: bool) -> Told:
    async with run_services(settings) as on:
        done = await on.imported(file, NOON, batch_size)
        assert (done.skipped_count, done.unsorted) == (0, None)
        assert file.name != SAMPLE or (done.lines, done.accounts) == (EVENTS, ACCOUNTS)
        rows = await on.pages("/lifecycle/v1/accounts", limit=500)
        accounts = {row["id"]: await on.get(f"/lifecycle/v1/accounts/{row['id']}") for row in rows}
        first, planned = await story(on), await outreach(on)
        if not twice:
            return Told(accounts, first, planned)
        await on.imported(file, NOON, batch_size * 3)
        return Told(accounts, first, planned, await story(on), await outreach(on))


@pytest.fixture(scope="module")
def once(oulad: Path, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The embedded deployment's answer, told once for every test here."""
    return asyncio.run(told(embedded(tmp_path_factory.mktemp("embedded")), oulad / SAMPLE, twice=True))


@pytest.fixture(scope="module")
def scaled_out(oulad: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Told:
    """What Kafka and PostgreSQL make of every fourth account."""
    folder = tmp_path_factory.mktemp("scaled")
    return asyncio.run(told(scaled(request, folder), few(oulad, folder), twice=False))


BOTH = pytest.mark.parametrize("where", ["once", pytest.param("scaled_out", marks=pytest.mark.servers)])


@BOTH
def test_every_milestone_is_found_on_exactly_its_date(where: str, oulad: Path, request: pytest.FixtureRequest) -> None:
    accounts, wanted = request.getfixturevalue(where).accounts, expected(oulad)
    chosen = sorted(wanted) if where == "once" else sorted(wanted)[::FEW]
    assert sorted(accounts) == chosen
    for name in chosen:
        found, dates = accounts[name]["milestones"], wanted[name]
        assert {key: _moment(found.get(key)) for key in dates} == dates, name


def test_importing_a_second_time_changes_nothing(once: Told) -> None:
    assert sum(len(history) for _, history in once.story.values()) > 2000
    assert once.again == once.story
    assert once.outbox_again == once.outbox


@BOTH
def test_an_import_sends_nothing(where: str, request: pytest.FixtureRequest) -> None:
    found: Told = request.getfixturevalue(where)
    assert found.outbox
    assert all(one["status"] not in {"sent", "pending", "sending"} for one in found.outbox)


async def test_batches_of_another_size_change_nothing(once: Told, oulad: Path, tmp_path: Path) -> None:
    async with run_services(embedded(tmp_path)) as on:
        await on.imported(few(oulad, tmp_path), NOON, 377)
        found = await story(on)
    assert len(found) == len(range(0, ACCOUNTS, FEW))
    assert found == of_few(once.story, found)


@pytest.mark.servers
def test_both_deployments_tell_the_same_story(once: Told, scaled_out: Told) -> None:
    assert scaled_out.story == of_few(once.story, scaled_out.story)
    assert len(scaled_out.outbox) == sum(one["account"] in scaled_out.story for one in once.outbox)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
