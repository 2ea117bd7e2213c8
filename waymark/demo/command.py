"""Demo command: replays a made-up company dated to today through the real services, prints a report, and serves it."""

import sys
import time
from datetime import date

import httpx2
from rich.console import Console

from shared.clock import Clock
from shared.keys import Credentials, credentials
from shared.settings import Settings
from waymark.assembly import WIRES, Assembly
from waymark.commands import progress_bar, until_stopped
from waymark.demo import Highlights, company, folder, highlights
from waymark.demo.model import COMPANY
from waymark.demo.report import Report
from waymark.demo.today import live_events
from waymark.idle import wait_until_idle
from waymark.importing import RecordMapper, Target, post
from waymark.serving import served

_IMPORT_ID = "demo"
_IDLE_TIMEOUT = 300
_EXPECTED_EVENTS = 25_000
_WIDTH = 80


async def run_demo(settings: Settings, clock: Clock, seed: int, *, once: bool, reset: bool, ask: folder.Ask) -> None:
    """The whole demo, in a folder of its own. One that is there already is shown as it is, unless it is to be reset."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    for variable in folder.unused(settings):
        console.print(f"{variable} is left alone: the demo has a database and a log of its own.")
    demo = folder.prepare(settings, seed, clock.now().date(), reset=reset, ask=ask)
    settings = demo.settings
    own = credentials(settings.data)
    url = f"http://{settings.host}:{settings.port}"
    async with served(settings, list(WIRES), clock) as (assembly, server):
        shown = highlights(seed, demo.mark.day)
        started = time.monotonic()
        if not demo.mark.finished:
            await _replay(assembly, url, own, clock, seed)
            await _post_today(assembly, url, own, seed, demo.mark.day)
            folder.finish(demo)
        headers = {"Authorization": f"Bearer {own.admin}"}
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as http:
            await _print_report(Report(http, console), shown)
        told = (
            f"The demo of {demo.mark.day} as it is now: `make demo RESET=1` (or `waymark demo --reset`) replays a new one."
            if demo.mark.finished
            else f"Replayed in {time.monotonic() - started:.0f} s. Nothing was sent: the outbox is in preview."
        )
        console.print(f"\n{told}")
        if once:
            console.print("`make demo` (or `waymark demo`) serves it: the console, and the pages of each service.")
        for line in closing_lines(url, own, once=once):
            console.print(line, soft_wrap=True)
        if not once:
            await until_stopped(server)


async def _replay(assembly: Assembly, url: str, own: Credentials, clock: Clock, seed: int) -> None:
    records = RecordMapper(_IMPORT_ID, clock.now(), live=True).from_bodies(company(seed, clock.now().date()))
    with progress_bar(f"{COMPANY}: a year of usage") as bar:
        task = bar.add_task("posting", total=_EXPECTED_EVENTS)
        target = Target(url, own.write, batch_size=1000)
        posted = await post(records, target, _IMPORT_ID, lambda done: bar.update(task, completed=done.events))
        bar.update(task, total=posted.events, description="handling")
        await wait_until_idle(
            assembly, _IDLE_TIMEOUT, lambda left: bar.update(task, completed=max(0, posted.events - left))
        )


async def _post_today(assembly: Assembly, url: str, own: Credentials, seed: int, day: date) -> None:
    """What comes in today, which opens tasks: those of the year before were only shown."""
    async with httpx2.AsyncClient(base_url=url, auth=(own.write, ""), timeout=60) as http:
        answer = await http.post("/v1/batch", json={"batch": list(live_events(seed, day))}, params={"strict": "true"})
        answer.raise_for_status()
    await wait_until_idle(assembly, _IDLE_TIMEOUT)


async def _print_report(report: Report, shown: Highlights) -> None:
    await report.funnel()
    await report.account(shown.churn.account_id)
    await report.outreach(shown.churn.account_id)
    await report.saved(sample.account_id for sample in shown.samples["recovering"])
    await report.tasks()
    await report.surveys()


def closing_lines(url: str, own: Credentials, *, once: bool) -> list[str]:
    """Where to go on: nothing where the process ends, since nobody would answer there."""
    if once:
        return []
    services = ("lifecycle", "notify", "advocacy", "ingest")
    return [
        f"\nConsole      {url}/console/enter?key={own.admin}",
        *(f"{service:12} {url}/{service}/docs   health {url}/{service}/readyz" for service in services),
        f"\nA first call:\n  curl -H 'Authorization: Bearer {own.read}' '{url}/lifecycle/v1/accounts?flag=at_risk'",
        f"Post events with the write key {own.write}",
        "Serving until Ctrl-C.",
    ]
