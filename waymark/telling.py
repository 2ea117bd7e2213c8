"""What does the demo print? The funnel, one account's story with its evidence, and what outreach would have gone out."""

from collections.abc import Sequence
from typing import Any

import httpx2
from rich.console import Console
from rich.table import Table

_BAR = 30


class Telling:
    """Asks the services as any internal tool would, and prints."""

    def __init__(self, http: httpx2.AsyncClient, console: Console) -> None:
        self._http = http
        self._console = console

    async def funnel(self) -> None:
        """How many accounts are where, and how long a stage takes."""
        found = await self._get("/lifecycle/v1/funnel")
        table = Table("stage", "accounts", "", "entered", "median days in stage", title="Where the accounts are")
        most = max(stage["accounts"] for stage in found["stages"]) or 1
        for stage in found["stages"]:
            bar = "█" * round(_BAR * stage["accounts"] / most)
            days = "-" if stage["median_days"] is None else f"{stage['median_days']:g}"
            table.add_row(stage["stage"], str(stage["accounts"]), bar, str(stage["entered"]), days)
        self._console.print(table)

    async def account(self, account: str, most: int = 14) -> None:
        """One account's transitions, oldest first, each with why."""
        seen = await self._get(f"/lifecycle/v1/accounts/{account}")
        kinds = ["stage_changed", "flag_changed", "health_changed"]
        history = (await self._get(f"/lifecycle/v1/accounts/{account}/history", kind=kinds, limit=most))["items"]
        table = Table("when", "what", "why", "values", title=f"The story of {seen['name']}, now {seen['stage']}")
        for one in reversed(history):
            table.add_row(one["at"][:10], _what(one), one["evidence"]["reason"], _values(one["evidence"]))
        self._console.print(table)

    async def outreach(self, account: str) -> None:
        """What would have gone out: by play, and for this account message by message."""
        table = Table("play", "class", "would have gone out", "decided against", title="Outreach (nothing was sent)")
        for play in await self._get("/notify/v1/plays"):
            planned, against = _planned(play["counts"])
            if planned or against:
                table.add_row(play["name"], play["outreach_class"], str(planned), str(against))
        self._console.print(table)
        letters = Table("when", "play", "channel", "what", title="The latest for that account")
        for one in reversed((await self._get("/notify/v1/outbox", account=account, limit=10))["items"]):
            letters.add_row(one["at"][:10], one["play"], one["channel"], _letter(one))
        self._console.print(letters)

    async def surveys(self) -> None:
        """What customers say, with how sure we can be."""
        for survey in await self._get("/advocacy/v1/surveys"):
            score = survey["score"]
            if score is not None:
                sure = f"95 % interval {score['low']:.0f} to {score['high']:.0f}, {score['n']} answers"
                self._console.print(f"{survey['kind'].upper()} {score['value']:+.0f} ({sure}): {survey['groups']}")

    async def _get(self, path: str, **query: Any) -> Any:
        answer = await self._http.get(path, params=query)
        answer.raise_for_status()
        return answer.json()


def _what(one: dict[str, Any]) -> str:
    if one["kind"] == "stage_changed":
        return f"{one.get('previous') or 'new'} → {one['stage']}"
    if one["kind"] == "flag_changed":
        return f"{one['flag']} {'raised' if one['raised'] else 'cleared'}"
    return f"health {one['previous']} → {one['band']}"


def _planned(counts: dict[str, int]) -> tuple[int, int]:
    """How many would have gone out (or become a task), and how many were decided against."""
    return sum(counts.get(status, 0) for status in ("previewed", "opened", "done")), counts.get("skipped", 0)


def _letter(one: dict[str, Any]) -> str:
    return f"not: {one['reason']} {one['detail']}" if one["status"] == "skipped" else one["subject"] or one["step"]


def _values(evidence: dict[str, Any]) -> str:
    clauses: Sequence[dict[str, Any]] = evidence.get("clauses", [])
    values = {name: value for clause in clauses if clause["held"] for name, value in clause["values"].items()}
    return ", ".join(f"{name} {_short(value)}" for name, value in list(values.items())[:4])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
