"""Imports: what an import sends again is taken once for ever, however much of it came the first time."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from services.ingest.store import Mark
from services.ingest.tables import import_mark
from tests.service.ingest.make import ANN, RunningIngest

WEEKS = timedelta(days=22)


def line(position: int, stream: int = 1, **more: Any) -> dict[str, Any]:
    of_file = {"messageId": f"line-{position}", "timestamp": "2026-01-05T00:00:00Z"}
    return ANN | of_file | {"importPosition": f"{stream}:{position}"} | more


async def ids(ingest: RunningIngest) -> list[str]:
    return sorted(event.id for event in await ingest.published())


async def test_a_file_imported_again_after_the_window_changes_nothing(ingest: RunningIngest) -> None:
    await ingest.post(*map(line, range(1, 6)), history="import-1")
    before = await ids(ingest)
    assert len(before) == 5
    ingest.clock.move(WEEKS)
    for position in range(1, 6):
        await ingest.post(line(position), history="import-1")
    assert await ids(ingest) == before


async def test_an_import_that_broke_off_goes_on_weeks_later(embedded_ingest: RunningIngest) -> None:
    ingest = embedded_ingest
    await ingest.post(*map(line, range(1, 4)), history="import-1")
    await ingest.published()
    ingest.clock.move(WEEKS)
    await ingest.post(*map(line, range(1, 8)), history="import-1")
    assert await ids(ingest) == [f"line-{position}" for position in range(1, 8)]
    ingest.clock.move(WEEKS)
    await ingest.post(*map(line, range(1, 8)), history="import-1")
    assert len(await ids(ingest)) == 7


async def test_what_a_half_written_batch_left_out_is_taken_when_it_comes_again(embedded_ingest: RunningIngest) -> None:
    ingest = embedded_ingest
    await ingest.post(line(1), line(5), history="import-1")
    await ingest.published()
    for days in (0, 7):
        ingest.clock.move(timedelta(days=days))
        await ingest.post(*map(line, range(1, 6)), history="import-1")
        assert len(await ids(ingest)) == 5


async def test_streams_imports_and_sources_are_known_apart(embedded_ingest: RunningIngest) -> None:
    ingest = embedded_ingest
    await ingest.post(line(5), history="import-1")
    await ingest.published()
    ingest.clock.move(WEEKS)
    await ingest.post(line(1, stream=2), history="import-1")
    await ingest.post(line(2), history="import-2")
    await ingest.post(line(3))
    assert await ids(ingest) == ["line-1", "line-2", "line-3", "line-5"]


@pytest.mark.parametrize("odd", ["", "7", ":7", "1:x", "1:-7", 7, None, ["1:7"], f"1:{'9' * 40}", f"{'1' * 99}:7"])
async def test_what_is_no_position_is_none(embedded_ingest: RunningIngest, odd: Any) -> None:
    await embedded_ingest.post(line(1, importPosition=odd), history="import-1")
    assert await ids(embedded_ingest) == ["line-1"]


async def test_an_import_leaves_few_rows_however_long_it_is(embedded_ingest: RunningIngest) -> None:
    ingest = embedded_ingest
    for first in range(1, 400, 100):
        await ingest.post(*map(line, range(first, first + 100)), history="import-1")
        await ingest.published()
    async with ingest.context.database.snapshot() as read:
        assert await read.scalar(select(func.count()).select_from(import_mark)) == 1


def test_a_mark_is_settled_when_the_window_has_forgotten_its_week() -> None:
    mark = Mark(week=10, this_week=7, week_before=5, earlier=3)
    assert mark.at(10) == mark
    assert mark.at(9) == mark
    assert mark.at(11) == Mark(11, 0, 7, 5)
    assert mark.at(12) == Mark(12, 0, 0, 7)
    assert mark.at(11).at(12) == mark.at(12)
