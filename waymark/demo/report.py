"""Demo report: the funnel, one account's story with its evidence, and the outreach that would have gone out."""

from collections.abc import Iterable
from typing import Any

import httpx2
from rich.console import Console
from rich.table import Table

_BAR = 20


class Report:
    """Asks the services as any internal tool would, and prints."""

    def __init__(self, http: httpx2.AsyncClient, console: Console) -> None:
        self._http = http
        self._console = console

    async def funnel(self) -> None:
        """How many accounts are where, and how long a stage takes."""
        found = await self._get("/lifecycle/v1/funnel")
        table = Table("stage", "accounts", "", "entered", "median days", title="Where the accounts are")
        largest = max(stage["accounts"] for stage in found["stages"]) or 1
        for stage in found["stages"]:
            bar = "█" * round(_BAR * stage["accounts"] / largest)
            days = "-" if stage["median_days"] is None else f"{stage['median_days']:g}"
            table.add_row(in_words(stage["stage"]), str(stage["accounts"]), bar, str(stage["entered"]), days)
        self._console.print(table)

    async def account(self, account_id: str, limit: int = 14) -> None:
        """One account's transitions, oldest first, each with why."""
        account = await self._get(f"/lifecycle/v1/accounts/{account_id}")
        kinds = ["stage_changed", "flag_changed", "health_changed"]
        history = (await self._get(f"/lifecycle/v1/accounts/{account_id}/history", kind=kinds, limit=limit))["items"]
        table = Table("when", "what", "why", title=f"{account['name']}, now {in_words(account['stage'])}")
        for row in reversed(history):
            table.add_row(row["at"][:10], _decision(row), row["evidence"]["reason"])
        self._console.print(table)

    async def outreach(self, account_id: str) -> None:
        """What would have gone out: by play, and for this account message by message."""
        table = Table("play", "class", "would go out", "left out", title="Outreach (nothing was sent)")
        for play in await self._get("/notify/v1/plays"):
            planned, against = _counts(play["counts"])
            if planned or against:
                table.add_row(in_words(play["name"]), play["outreach_class"], str(planned), str(against))
        self._console.print(table)
        deliveries = Table("when", "play", "by", "what", title="The latest for that account")
        for row in reversed((await self._get("/notify/v1/outbox", account=account_id, limit=10))["items"]):
            deliveries.add_row(row["at"][:10], in_words(row["play"]), in_words(row["channel"]), _delivery(row))
        self._console.print(deliveries)

    async def tasks(self) -> None:
        """What somebody has to do today, and who."""
        table = Table("account", "owner", "what", title="Open tasks")
        for task in (await self._get("/notify/v1/tasks", sort="account", limit=20))["items"]:
            table.add_row(task["account_name"], task["owner"] or "nobody", task["subject"])
        self._console.print(table)

    async def saved(self, account_ids: Iterable[str]) -> None:
        """An account of these that was at risk and is not any more, with why it was and why it no longer is."""
        for account_id in account_ids:
            query = {"kind": "flag_changed", "limit": 100}
            rows = (await self._get(f"/lifecycle/v1/accounts/{account_id}/history", **query))["items"]
            risk = [row for row in rows if row["flag"] == "at_risk"]
            if risk and not risk[0]["raised"]:
                raised = next(row for row in risk if row["raised"])
                name = (await self._get(f"/lifecycle/v1/accounts/{account_id}"))["name"]
                self._console.print(
                    f"\nSaved: {name}. {raised['at'][:10]} {raised['evidence']['reason']} "
                    f"{risk[0]['at'][:10]} {risk[0]['evidence']['reason']}"
                )
                return

    async def surveys(self) -> None:
        """What customers say, with how sure we can be."""
        for survey in await self._get("/advocacy/v1/surveys"):
            score = survey["score"]
            if score is not None:
                sure = f"{score['low']:.0f} to {score['high']:.0f} with 95 % confidence"
                groups = ", ".join(f"{count} {in_words(group)}" for group, count in survey["groups"].items())
                value = f"{survey['kind'].upper()} {score['value']:.0f} ({sure}; {score['n']} answers)"
                self._console.print(f"{value}: {groups}")

    async def _get(self, path: str, **query: Any) -> Any:
        answer = await self._http.get(path, params=query)
        answer.raise_for_status()
        return answer.json()


def _decision(row: dict[str, Any]) -> str:
    if row["kind"] == "stage_changed":
        return f"{in_words(row.get('previous') or 'new')} → {in_words(row['stage'])}"
    if row["kind"] == "flag_changed":
        return f"{in_words(row['flag'])} {'raised' if row['raised'] else 'cleared'}"
    return f"health {row['previous'] or 'unknown'} → {row['band'] or 'unknown'}"


def _counts(counts: dict[str, int]) -> tuple[int, int]:
    """How many would have gone out (or become a task), and how many were decided against."""
    return sum(counts.get(status, 0) for status in ("previewed", "opened", "done")), counts.get("skipped", 0)


def _delivery(row: dict[str, Any]) -> str:
    return f"left out: {in_words(row['reason'])}" if row["status"] == "skipped" else row["subject"] or row["step"]


def in_words(name: str) -> str:
    """An id of ours as a person reads it."""
    return name.replace("_", " ")
