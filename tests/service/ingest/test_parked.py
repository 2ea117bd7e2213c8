"""Can parked records be looked at, and tried again once?"""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from shared.bus.tables import dead_letter
from tests.service.ingest.make import ANN, Site, bearer, facts

BAD = ANN | {"event": ""}


async def mend(site: Site, row: dict[str, Any], value: bytes) -> None:
    """What a release that understands the record would do: here the record changes instead of the code."""
    async with site.context.database.transaction() as tx:
        await tx.run(update(dead_letter).where(dead_letter.c.id == row["id"]).values(value=value))


async def test_parked_records_are_listed_page_by_page(site: Site) -> None:
    await site.post(*(BAD | {"messageId": str(n)} for n in range(7)), {"type": "click", "userId": "ann"})
    every = await site.parked()
    assert len(every) == 8
    assert len(await site.parked(reason="unknown_type")) == 1
    seen, query = [], {"limit": 3}
    while True:
        read = await site.client.get("/ingest/v1/parked", params=query, headers=bearer(site.keys.read))
        seen.append([one["id"] for one in read.json()["items"]])
        if read.json()["next"] is None:
            break
        query["cursor"] = read.json()["next"]
    assert [len(page) for page in seen] == [3, 3, 2]
    assert sorted(one for page in seen for one in page) == sorted(one["id"] for one in every)


async def test_a_mended_record_is_published_once_and_one_still_bad_parks_anew(site: Site) -> None:
    await site.post(BAD | {"messageId": "1"}, BAD | {"messageId": "2"})
    first, second = sorted(await site.parked(), key=lambda one: one["body"])
    good = first["body"].replace('"event":""', '"event":"x"').encode()
    await mend(site, first, good)
    await mend(site, second, b'{"type":"click"}')
    site.clock.move(timedelta(hours=1))

    assert await site.redrive(first["id"], second["id"], first["id"]) == 2
    assert await site.redrive(first["id"]) == 0
    assert facts(await site.published()) == [("1", "acme")]
    (again,) = await site.parked()
    assert (again["id"], again["reason"]) == (second["id"], "unknown_type")
    assert again["parked_at"] > second["parked_at"]


async def test_two_parked_copies_of_an_event_are_published_once(site: Site) -> None:
    await site.post(BAD | {"messageId": "1"})
    await site.post(BAD | {"messageId": "1"})
    copies = await site.parked()
    for one in copies:
        await mend(site, one, one["body"].replace('"event":""', '"event":"x"').encode())
    assert await site.redrive(*(one["id"] for one in copies)) == 2
    await site.post(ANN | {"messageId": "1"})
    assert facts(await site.published()) == [("1", "acme")]


async def test_a_redriven_event_without_an_account_goes_on_waiting_and_is_still_taken_up(site: Site) -> None:
    await site.post({"type": "track", "event": "x", "userId": "ann", "messageId": "1"})
    (waiting,) = await site.parked()
    assert await site.redrive(waiting["id"]) == 1
    assert [one["id"] for one in await site.parked()] == [waiting["id"]]
    await site.post({"type": "group", "groupId": "acme", "userId": "ann", "messageId": "g"})
    assert facts(await site.published()) == [("g", "acme"), ("1", "acme")]


@pytest.mark.parametrize("ids", [[], ["x"], ["\0"], ["00000000-0000-0000-0000-000000000000"] * 501, "x", None])
async def test_a_redrive_of_what_is_no_id_is_refused(door: Site, ids: object) -> None:
    admin = bearer(door.keys.admin)
    answer = await door.client.post("/ingest/v1/parked/redrive", json={"ids": ids}, headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    "query", [{"cursor": "x"}, {"cursor": "WzFd"}, {"cursor": "WyJcdTAwMDAiXQ"}, {"limit": 0}, {"reason": "\0"}]
)
async def test_a_list_asked_for_in_a_wrong_way_is_refused(site: Site, query: dict[str, Any]) -> None:
    answer = await site.client.get("/ingest/v1/parked", params=query, headers=bearer(site.keys.read))
    assert answer.status_code in {400, 422}
    assert answer.json()["code"] in {"bad_cursor", "invalid"}


async def test_who_may_look_and_who_may_redrive(door: Site) -> None:
    for key, status in ((door.keys.write, 403), ("unknown-key", 401)):
        assert (await door.client.get("/ingest/v1/parked", headers=bearer(key))).status_code == status
    body, read = {"ids": ["00000000-0000-0000-0000-000000000000"]}, bearer(door.keys.read)
    assert (await door.client.post("/ingest/v1/parked/redrive", json=body, headers=read)).status_code == 403
    assert (await door.client.get("/ingest/v1/parked")).status_code == 401
