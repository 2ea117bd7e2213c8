"""Parked records: listed page by page, and redriven once."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from services.ingest.handlers import REDRIVEN_AT_ONCE, WAITING_AT_ONCE
from shared.bus.tables import dead_letter
from tests.make import eventually
from tests.service.ingest.make import ANN, RunningIngest, bearer, facts

BAD = ANN | {"event": ""}


async def mend(ingest: RunningIngest, row: dict[str, Any], value: bytes) -> None:
    """What a release that understands the record would do: here the record changes instead of the code."""
    async with ingest.context.database.transaction() as tx:
        await tx.run(update(dead_letter).where(dead_letter.c.id == row["id"]).values(value=value))


async def test_parked_records_are_listed_page_by_page(ingest: RunningIngest) -> None:
    await ingest.post(*(BAD | {"messageId": str(n)} for n in range(7)), {"type": "click", "userId": "ann"})
    every = await ingest.parked()
    assert len(every) == 8
    assert len(await ingest.parked(reason="unknown_type")) == 1
    seen, query = [], {"limit": 3}
    while True:
        read = await ingest.client.get("/ingest/v1/parked", params=query, headers=bearer(ingest.keys.read))
        seen.append([one["id"] for one in read.json()["items"]])
        if read.json()["next"] is None:
            break
        query["cursor"] = read.json()["next"]
    assert [len(page) for page in seen] == [3, 3, 2]
    assert sorted(one for page in seen for one in page) == sorted(one["id"] for one in every)


async def test_a_mended_record_is_published_once_and_one_still_bad_parks_anew(ingest: RunningIngest) -> None:
    await ingest.post(BAD | {"messageId": "1"}, BAD | {"messageId": "2"})
    first, second = sorted(await ingest.parked(), key=lambda one: one["body"])
    good = first["body"].replace('"event":""', '"event":"x"').encode()
    await mend(ingest, first, good)
    await mend(ingest, second, b'{"type":"click"}')
    ingest.clock.move(timedelta(hours=1))

    assert await ingest.redrive(first["id"], second["id"], first["id"]) == 2
    assert await ingest.redrive(first["id"]) == 0
    assert facts(await ingest.published()) == [("1", "acme")]
    (again,) = await ingest.parked()
    assert (again["id"], again["reason"]) == (second["id"], "unknown_type")
    assert again["parked_at"] > second["parked_at"]


async def test_two_parked_copies_of_an_event_are_published_once(ingest: RunningIngest) -> None:
    await ingest.post(BAD | {"messageId": "1"})
    await ingest.post(BAD | {"messageId": "1"})
    copies = await ingest.parked()
    for one in copies:
        await mend(ingest, one, one["body"].replace('"event":""', '"event":"x"').encode())
    assert await ingest.redrive(*(one["id"] for one in copies)) == 2
    await ingest.post(ANN | {"messageId": "1"})
    assert facts(await ingest.published()) == [("1", "acme")]


async def test_a_redriven_event_without_an_account_goes_on_waiting_and_is_still_taken_up(ingest: RunningIngest) -> None:
    await ingest.post({"type": "track", "event": "x", "userId": "ann", "messageId": "1"})
    (waiting,) = await ingest.parked()
    assert await ingest.redrive(waiting["id"]) == 1
    assert [one["id"] for one in await ingest.parked()] == [waiting["id"]]
    await ingest.post({"type": "group", "groupId": "acme", "userId": "ann", "messageId": "g"})
    assert facts(await ingest.published()) == [("g", "acme"), ("1", "acme")]


async def test_more_waiting_events_than_a_transaction_should_hold_follow_by_themselves(ingest: RunningIngest) -> None:
    count = WAITING_AT_ONCE + 3 * REDRIVEN_AT_ONCE + 1
    waiting = [{"type": "track", "event": "x", "userId": "ann", "messageId": f"w{n}"} for n in range(count)]
    await ingest.post(*waiting)
    assert len(await ingest.published()) == 0
    await ingest.post({"type": "group", "groupId": "acme", "userId": "ann", "messageId": "g"})

    async def all_of_them() -> bool:
        return len(await ingest.published()) == count + 1

    await eventually(all_of_them, 60)
    assert {account for _, account in facts(await ingest.published())} == {"acme"}
    assert await ingest.parked() == []


@pytest.mark.parametrize("ids", [[], ["x"], ["\0"], ["00000000-0000-0000-0000-000000000000"] * 501, "x", None])
async def test_a_redrive_of_what_is_no_id_is_refused(embedded_ingest: RunningIngest, ids: object) -> None:
    admin = bearer(embedded_ingest.keys.admin)
    answer = await embedded_ingest.client.post("/ingest/v1/parked/redrive", json={"ids": ids}, headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    "query", [{"cursor": "x"}, {"cursor": "WzFd"}, {"cursor": "WyJcdTAwMDAiXQ"}, {"limit": 0}, {"reason": "\0"}]
)
async def test_a_list_asked_for_in_a_wrong_way_is_refused(ingest: RunningIngest, query: dict[str, Any]) -> None:
    answer = await ingest.client.get("/ingest/v1/parked", params=query, headers=bearer(ingest.keys.read))
    assert answer.status_code in {400, 422}
    assert answer.json()["code"] in {"bad_cursor", "invalid"}


async def test_who_may_look_and_who_may_redrive(embedded_ingest: RunningIngest) -> None:
    for key, status in ((embedded_ingest.keys.write, 403), ("unknown-key", 401)):
        assert (await embedded_ingest.client.get("/ingest/v1/parked", headers=bearer(key))).status_code == status
    body, read = {"ids": ["00000000-0000-0000-0000-000000000000"]}, bearer(embedded_ingest.keys.read)
    assert (await embedded_ingest.client.post("/ingest/v1/parked/redrive", json=body, headers=read)).status_code == 403
    assert (await embedded_ingest.client.get("/ingest/v1/parked")).status_code == 401
