"""What the demo prints: words at 80 columns, whatever the services leave open."""

import re
from collections.abc import Awaitable, Callable
from io import StringIO
from typing import Any

import httpx2
import pytest
from rich.console import Console

from waymark.demo.report import Report

LONG = "The International Company of Very Long Names and Sons, Limited"
WHY = {"reason": "At risk: time since core use is 14 days (14 days or more); champions missing is 1 (1 or more)."}
DECISIONS = [
    {"kind": "health_changed", "at": "2026-03-04T00:00:00Z", "previous": None, "band": None, "evidence": WHY},
    {"kind": "flag_changed", "at": "2026-03-03T00:00:00Z", "flag": "at_risk", "raised": False, "evidence": WHY},
    {"kind": "flag_changed", "at": "2026-03-02T00:00:00Z", "flag": "at_risk", "raised": True, "evidence": WHY},
    {
        "kind": "stage_changed",
        "at": "2026-03-01T00:00:00Z",
        "previous": None,
        "stage": "value_realization",
        "evidence": WHY,
    },
]
STAGES = [{"stage": "value_realization", "accounts": 0, "entered": 12_345, "median_days": None}]
SENT = {"at": "2026-03-01T00:00:00Z", "play": "low_utilisation", "channel": "in_app", "step": "x", "reason": ""}
DELIVERIES = [
    SENT | {"status": "skipped", "reason": "same_cause", "subject": ""},
    SENT | {"status": "previewed", "subject": f"How is it going at {LONG}?"},
]
SURVEY = {
    "kind": "nps",
    "score": {"value": 24.4, "low": 16, "high": 32, "n": 216},
    "groups": {"very_satisfied": 1, "promoter": 74, "passive": 120, "detractor": 22},
}
ANSWERS: dict[str, Any] = {
    "/lifecycle/v1/funnel": {"stages": STAGES},
    "/lifecycle/v1/accounts/a": {"name": LONG, "stage": "value_realization"},
    "/notify/v1/plays": [
        {"name": "low_utilisation", "outreach_class": "onboarding", "counts": {"previewed": 3, "skipped": 2}},
        {"name": "case_study_share", "outreach_class": "value", "counts": {}},
    ],
    "/notify/v1/outbox": {"items": DELIVERIES},
    "/notify/v1/tasks": {"items": [{"account_name": LONG, "owner": None, "subject": f"{LONG} is at risk"}]},
    "/advocacy/v1/surveys": [SURVEY, {"kind": "csat", "score": None, "groups": {}}],
}
PARTS: list[Callable[[Report], Awaitable[None]]] = [
    Report.funnel,
    lambda report: report.account("a"),
    lambda report: report.outreach("a"),
    Report.tasks,
    lambda report: report.saved(["a"]),
    Report.surveys,
]


def answer(request: httpx2.Request) -> httpx2.Response:
    kinds = request.url.params.get_list("kind")
    if kinds:
        return httpx2.Response(200, json={"items": [one for one in DECISIONS if one["kind"] in kinds]})
    return httpx2.Response(200, json=ANSWERS[request.url.path])


async def told(part: Callable[[Report], Awaitable[None]]) -> str:
    printed = StringIO()
    transport = httpx2.MockTransport(answer)
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as http:
        await part(Report(http, Console(file=printed, width=80)))
    return printed.getvalue()


@pytest.mark.parametrize("part", PARTS)
async def test_every_part_reads_well_at_80_columns_without_a_code_or_what_is_unknown(
    part: Callable[[Report], Awaitable[None]],
) -> None:
    said = await told(part)
    assert said.strip()
    assert [line for line in said.splitlines() if len(line) > 80] == []
    assert "…" not in said, "a name that was cut"
    assert not re.search(r"\bNone\b|[{}]|\w_\w|\bTrue\b|\bFalse\b", said)


async def test_a_stage_without_a_median_and_a_task_of_nobody_say_so() -> None:
    assert re.search(r"value realization +│ 0 +│ +│ 12345 +│ - ", await told(Report.funnel))
    assert "nobody" in await told(Report.tasks)


async def test_an_account_that_was_at_risk_and_is_not_any_more_is_told_as_saved() -> None:
    said = " ".join((await told(lambda report: report.saved(["a"]))).split())
    assert said.startswith(f"Saved: {LONG}. 2026-03-02 At risk:")
