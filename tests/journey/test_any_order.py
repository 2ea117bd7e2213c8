"""One history comes to one end, however its file is ordered and cut, on either deployment: messages, outreach, surveys, money."""

import asyncio
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy import Table, select

from services.advocacy import tables as advocacy
from services.lifecycle import tables as lifecycle
from services.notify import tables as notify
from shared.settings import Settings
from tests.conftest import ROOT, embedded, scaled
from tests.journey.services import RunningServices, run_services
from tests.make import NOON, FakeClock
from waymark.demo import company, highlights
from waymark.idle import total_due

Bodies = list[dict[str, Any]]
WATCHED: dict[str, tuple[Table, ...]] = {
    "lifecycle": (lifecycle.account, lifecycle.decision, lifecycle.stage_visit),
    "notify": (notify.delivery,),
    "advocacy": (advocacy.invitation, advocacy.referral, advocacy.reward, advocacy.ledger_entry, advocacy.note),
}
"""Whose rows must be the same, value for value: under a clock that stands still nothing excuses a difference."""
ELSEWHERE = {"partition"}
"""What only places a row in the log of one deployment."""


class Told(NamedTuple):
    """Everything that came of it, by table."""

    rows: dict[str, list[tuple[Any, ...]]]


def history() -> Bodies:
    """Of the demo's company: those who referred somebody, those who came by a code, the one that lost its champion, and some others."""
    shown = highlights(7, NOON.date())
    chosen = {shown.churn.account_id, *(one.advocate_id for one in shown.referrals)}
    chosen |= {one.referred_id for one in shown.referrals}
    chosen |= {shown.samples[name][0].account_id for name in ("silent", "fresh", "unpaid")}
    return [body for body in company(7, NOON.date()) if body["context"]["groupId"] in chosen]


def grouped(bodies: Bodies) -> Bodies:
    return sorted(bodies, key=lambda body: str(body["context"]["groupId"]))


def with_referrals(settings: Settings, folder: Path) -> Settings:
    """A company whose rules read what comes back to an account: conversions."""
    config = shutil.copytree(ROOT / "config", folder / "config")
    text = (config / "lifecycle.yaml").read_text("utf8")
    text = text.replace("events:\n", "events:\n  referral:\n    match: [referral_converted]\n", 1)
    text = text.replace("milestones:\n", "milestones:\n  first_referral: {of: referral}\n", 1)
    (config / "lifecycle.yaml").write_text(text, "utf8")
    links = {"secret": SecretStr("one secret signs the links of all"), "public_url": "https://success.example"}
    return settings.model_copy(update={"config": config, **links})


async def told(settings: Settings, folder: Path, bodies: Bodies, batch_size: int) -> Told:
    file, clock = folder / "history.ndjson", FakeClock()
    file.write_bytes(b"\n".join(map(msgspec.json.encode, bodies)))
    async with run_services(with_referrals(settings, folder), clock=clock) as on:
        done = await on.imported(file, NOON, batch_size, live=True)
        assert done.skipped_count == 0
        assert await total_due(on.assembly) == 0, "idle means that nothing is due, not only that nothing waits"
        clock.move(timedelta(minutes=1))
        assert await total_due(on.assembly) > 0, "what was said of history settles by now"
        await on.wait_until_idle()
        return Told({table.name: await rows(on, name, table) for name, tables in WATCHED.items() for table in tables})


async def rows(on: RunningServices, service: str, table: Table) -> list[tuple[Any, ...]]:
    columns = [column for column in table.columns if column.name not in ELSEWHERE]
    async with on.assembly.contexts[service].database.snapshot() as read:
        found = await read.all(select(*columns).order_by(*table.primary_key.columns))
    return [tuple(row) for row in found]


@pytest.fixture(scope="module")
def bodies() -> Bodies:
    return history()


@pytest.fixture(scope="module")
def small_batches(bodies: Bodies, tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("small")
    return asyncio.run(told(embedded(folder), folder, bodies, 50))


def different(one: Told, other: Told, tables: Sequence[str]) -> dict[str, list[Any]]:
    """Of each table the rows that only one of them has: the first few."""
    found = {
        name: sorted(map(repr, set(map(repr, one.rows[name])) ^ set(map(repr, other.rows[name]))))[:6]
        for name in tables
    }
    return {name: few for name, few in found.items() if few}


def test_there_is_something_to_compare(small_batches: Told) -> None:
    for table, found in small_batches.rows.items():
        assert found or table == "advocacy_note", table
    kinds = [row for row in small_batches.rows["lifecycle_decision"] if b"first_referral" in row[-1]]
    assert len(kinds) >= 2, "who referred somebody has reached it"


def test_grouped_by_account_and_in_large_batches(small_batches: Told, bodies: Bodies, tmp_path: Path) -> None:
    large = asyncio.run(told(embedded(tmp_path), tmp_path, grouped(bodies), 5000))
    assert different(small_batches, large, [*small_batches.rows]) == {}


@pytest.mark.servers
def test_on_kafka_and_postgres(
    small_batches: Told, bodies: Bodies, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    many = asyncio.run(told(scaled(request, tmp_path), tmp_path, grouped(bodies), 500))
    assert different(small_batches, many, [*small_batches.rows]) == {}
