"""Demo command: replays a made-up company dated to today through the real services, prints a report, and serves it."""

import shutil
import sys
import time

import httpx2
from rich.console import Console

from shared.clock import Clock
from shared.keys import Credentials, credentials
from shared.settings import Settings
from waymark.assembly import WIRES, Assembly
from waymark.commands import progress_bar, until_stopped
from waymark.demo import Highlights, company, highlights
from waymark.demo.model import COMPANY
from waymark.demo.report import Report
from waymark.idle import wait_until_idle
from waymark.importing import RecordMapper, Target, post
from waymark.serving import served

_IMPORT_ID = "demo"
_IDLE_TIMEOUT = 300
_EXPECTED_EVENTS = 72_000
_WIDTH = 130


async def run_demo(settings: Settings, clock: Clock, seed: int, *, once: bool) -> None:
    """The whole demo. Its data folder is its own, emptied each time."""
    settings = settings.model_copy(update={"data": settings.data / "demo"})
    shutil.rmtree(settings.data, ignore_errors=True)
    own = credentials(settings.data)
    url = f"http://{settings.host}:{settings.port}"
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    async with served(settings, list(WIRES), clock) as (assembly, server):
        shown = highlights(seed, clock.now().date())
        started = time.monotonic()
        await _replay(assembly, url, own, clock, seed)
        headers = {"Authorization": f"Bearer {own.admin}"}
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as http:
            await _print_report(Report(http, console), shown)
        console.print(f"\nReplayed in {time.monotonic() - started:.0f} s. Nothing was sent: the outbox is in preview.")
        _print_urls(console, url, own)
        if not once:
            console.print("Serving until Ctrl-C.")
            await until_stopped(server)


async def _replay(assembly: Assembly, url: str, own: Credentials, clock: Clock, seed: int) -> None:
    records = RecordMapper(_IMPORT_ID, clock.now(), live=True).from_bodies(company(seed, clock.now().date()))
    with progress_bar(f"{COMPANY}: 180 days of usage") as bar:
        task = bar.add_task("posting", total=_EXPECTED_EVENTS)
        target = Target(url, own.write, batch_size=1000)
        posted = await post(records, target, _IMPORT_ID, lambda done: bar.update(task, completed=done.events))
        bar.update(task, total=posted.events, description="handling")
        await wait_until_idle(
            assembly, _IDLE_TIMEOUT, lambda left: bar.update(task, completed=max(0, posted.events - left))
        )


async def _print_report(report: Report, shown: Highlights) -> None:
    await report.funnel()
    await report.account(shown.churn.account_id)
    await report.outreach(shown.churn.account_id)
    await report.surveys()


def _print_urls(console: Console, url: str, own: Credentials) -> None:
    console.print(f"\nConsole      {url}/console/enter?key={own.admin}", soft_wrap=True)
    for service in ("lifecycle", "notify", "advocacy", "ingest"):
        console.print(f"{service:12} {url}/{service}/docs   health {url}/{service}/readyz")
    console.print(
        f"\nA first call:\n  curl -H 'Authorization: Bearer {own.read}' '{url}/lifecycle/v1/accounts?flag=at_risk'",
        soft_wrap=True,
    )
    console.print(f"Post events with the write key {own.write}", soft_wrap=True)
