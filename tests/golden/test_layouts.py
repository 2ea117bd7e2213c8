"""Layouts of all that is stored as a blob: each carries its number, an old one is read, a newer one is refused."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import msgspec
import pytest
from sqlalchemy import Column, LargeBinary, MetaData, select, update

from services.advocacy import tables as advocacy
from services.advocacy.store.accounts import ACCOUNTS
from services.advocacy.store.invitations import INVITATIONS
from services.advocacy.store.referrals import CODES, REFERRALS, REWARDS
from services.ingest import tables as ingest
from services.lifecycle import tables as lifecycle
from services.lifecycle.layouts import LAYOUTS as LIFECYCLE_ACCOUNTS
from services.notify import tables as notify
from services.notify.core.delivery import LAYOUT as DECISION_LAYOUT
from services.notify.core.delivery import NewerDecision, decision_layout, decode_decision, encode_decision
from services.notify.store import LAYOUTS as NOTIFY_ACCOUNTS
from shared.bus import tables as bus
from shared.db.layouts import Layouts, NewerLayout, layout_of
from shared.settings import Settings
from tests.golden.release import database, migrated
from tests.golden.scenario import MOMENT
from tests.journey.services import run_services
from tests.make import FakeClock, eventually
from waymark.compatibility import LAYOUTS
from waymark.migrations import NewerDatabase

NUMBERED: dict[Column[Any], Layouts[Any]] = {
    lifecycle.account.c.state: LIFECYCLE_ACCOUNTS,
    notify.account.c.state: NOTIFY_ACCOUNTS,
    advocacy.account.c.state: ACCOUNTS,
    advocacy.invitation.c.body: INVITATIONS,
    advocacy.code.c.body: CODES,
    advocacy.referral.c.body: REFERRALS,
    advocacy.reward.c.body: REWARDS,
}
NEWER = bytes((0xC1, 99)) + msgspec.msgpack.encode({"anything": "new"})
OTHERS = {
    "notify_delivery": "JSON that names its layout: the test below",
    "notify_waiting": "JSON as it was published: a message of its topic",
    "lifecycle_decision": "JSON as it was published: a message of lifecycle.v1",
    "lifecycle_early_feedback": "JSON of a usage event: a message of usage.v1",
    "log_block": "messages of the topics: their contracts",
    "dead_letter": "a record as it arrived",
    "consumer_cursor": "a fingerprint",
    "ingest_dedupe_even": "keys",
    "ingest_dedupe_odd": "keys",
    **{
        f"{service}_{name}": what
        for service in ("lifecycle", "advocacy")
        for name, what in {
            "journal": "details of an input: a name that is not known is passed over",
            "checkpoint": "a state, copied as it was stored",
            "definition": "the files of a definition",
        }.items()
    },
}
ALL: list[MetaData] = [lifecycle.metadata, notify.metadata, advocacy.metadata, ingest.metadata, bus.metadata]
ACCOUNT = "ashvale-bakeries"


def values(where: Settings, column: Column[Any]) -> list[bytes]:
    with closing(sqlite3.connect(database(where))) as read:
        return [row[0] for row in read.execute(str(select(column).where(column.is_not(None))))]


def named(column: Column[Any]) -> str:
    return str(column)


def test_every_blob_is_known_by_its_layouts_or_for_what_else_it_is() -> None:
    blobs = {
        column
        for metadata in ALL
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    assert {column for column in blobs if column.table.name not in OTHERS} == set(NUMBERED)


@pytest.mark.parametrize("column", NUMBERED, ids=named)
async def test_every_old_blob_is_read_and_written_with_its_number(golden: Settings, column: Column[Any]) -> None:
    await migrated(golden)
    layouts, blobs = NUMBERED[column], values(golden, column)

    assert blobs
    for blob in blobs:
        today = layouts.encode(layouts.decode(blob))
        assert today[0] == 0xC1
        assert layout_of(today) >= layout_of(blob)
        assert layouts.decode(today) == layouts.decode(blob)


@pytest.mark.parametrize("column", NUMBERED, ids=named)
def test_a_blob_of_a_newer_layout_is_refused(column: Column[Any]) -> None:
    with pytest.raises(NewerLayout, match="has layout 99, this version of Waymark knows up to"):
        NUMBERED[column].decode(NEWER)


async def test_every_old_decision_of_notify_is_read_and_written_with_its_number(golden: Settings) -> None:
    await migrated(golden)
    texts = values(golden, notify.delivery.c.decision)

    assert texts
    for text in texts:
        today = encode_decision(decode_decision(text))
        assert "layout" in msgspec.json.decode(today)
        assert decode_decision(today) == decode_decision(text)
    newer = msgspec.json.encode({**msgspec.json.decode(today), "layout": 99})
    assert decision_layout(today) == DECISION_LAYOUT
    assert {decision_layout(text) for text in texts} == {1}
    with pytest.raises(NewerDecision, match="has layout 99, this version of Waymark knows up to"):
        decode_decision(newer)


ACCOUNT_TABLES = {"lifecycle": lifecycle.account, "notify": notify.account, "advocacy": advocacy.account}


def plant(where: Settings, service: str) -> None:
    """What a newer version of the code would leave behind in one account."""
    table = ACCOUNT_TABLES[service]
    with closing(sqlite3.connect(database(where), timeout=60)) as write:
        write.execute(str(update(table).values(state=NEWER).where(table.c.id == ACCOUNT)), [NEWER, ACCOUNT])
        write.commit()


@pytest.mark.parametrize("service", ACCOUNT_TABLES)
async def test_a_newer_layout_is_refused_at_the_start(golden: Settings, service: str) -> None:
    await migrated(golden)
    plant(golden, service)

    current = NUMBERED[ACCOUNT_TABLES[service].c.state].current
    with pytest.raises(
        NewerDatabase, match=rf"{service}_account.state has layout 99, this version knows up to {current}"
    ):
        async with run_services(golden, clock=FakeClock(MOMENT)):
            pass

    assert NEWER in values(golden, ACCOUNT_TABLES[service].c.state)


@pytest.mark.parametrize("service", ACCOUNT_TABLES)
async def test_a_service_that_meets_a_newer_layout_stops_and_says_so(golden: Settings, service: str) -> None:
    """An older version of the code beside a newer one: nothing is parked, nothing is overwritten."""
    await migrated(golden)
    event = {"type": "track", "event": "Subscription Cancelled", "messageId": "n", "userId": "u17000"}
    message = {**event, "timestamp": MOMENT.isoformat(), "context": {"groupId": ACCOUNT}}
    async with run_services(golden, clock=FakeClock(MOMENT)) as on:
        await asyncio.to_thread(plant, golden, service)
        posted = await on.http.post("/v1/batch", json={"batch": [message]}, auth=(on.write_key, ""))

        async def says_so() -> bool:
            answer = await on.http.get(f"/{service}/readyz")
            loops = {why for name, why in answer.json()["checks"].items() if name.startswith("loop:")}
            return answer.status_code == 503 and any("has layout 99" in why for why in loops)

        await eventually(says_so)
        parked = await on.get(f"/{service}/v1/parked")
        read = await on.http.get(f"/lifecycle/v1/accounts/{ACCOUNT}")

    assert posted.status_code == 200
    assert parked["items"] == []
    assert NEWER in values(golden, ACCOUNT_TABLES[service].c.state)
    assert read.status_code == (503 if service == "lifecycle" else 200)
    assert service != "lifecycle" or read.json()["code"] == "newer_layout"


def test_the_layouts_that_a_start_checks_are_all_that_there_are() -> None:
    checked = {one.column: one.current for some in LAYOUTS.values() for one in some}

    assert checked == {
        **{column: layouts.current for column, layouts in NUMBERED.items()},
        notify.delivery.c.decision: DECISION_LAYOUT,
    }
