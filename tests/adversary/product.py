"""A whole Waymark in a process of its own, with a key of every kind and a mailbox, seen from outside only."""

import asyncio
import os
import re
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx2

from deploy.servers.ports import free_port
from shared.settings import Settings
from tests.conftest import ROOT
from tests.make import eventually
from tests.service.notify.doors import Mailbox, mail_server
from waymark import migrations

SERVICES = ("ingest", "lifecycle", "notify", "advocacy", "console")
KEYS = {
    kind: f"{kind}-key-of-the-adversary-suite" for kind in ("browser", "server", "import", "read", "admin", "write")
}
_LAG = re.compile(r"^waymark_lag(?:\{[^}]*\})? ([\d.e+-]+)", re.MULTILINE)
_QUIET = re.compile(r"quiet: .*")
Event = dict[str, Any]


def track(account: str, user: str, event: str, /, *, id: str = "", at: object = None, **properties: Any) -> Event:  # noqa: A002
    """A track event as an SDK sends it; without `at` it carries no time."""
    body = {"type": "track", "event": event, "properties": properties, **_who(account, user, id)}
    return body if at is None else body | {"timestamp": at}


def identify(account: str, user: str, /, *, id: str = "", at: object = None, **traits: Any) -> Event:  # noqa: A002
    """An identify call: what is said about a person."""
    body = {"type": "identify", "traits": traits, **_who(account, user, id)}
    return body if at is None else body | {"timestamp": at}


def group(account: str, user: str, /, *, id: str = "", at: object = None, **traits: Any) -> Event:  # noqa: A002
    """A group call: the user belongs to the account, and what is said about the account."""
    body = {
        "type": "group",
        "groupId": account,
        "traits": traits,
        "userId": user,
        "messageId": id or secrets.token_hex(8),
    }
    return body if at is None else body | {"timestamp": at}


def _who(account: str, user: str, message_id: str) -> Event:
    return {"userId": user, "context": {"groupId": account}, "messageId": message_id or secrets.token_hex(8)}


class Product:
    """A running Waymark: where it runs, its address, its keys by kind, its data folder, and the mails that left it."""

    def __init__(self, url: str, http: httpx2.AsyncClient, mailbox: Mailbox, settings: Settings, config: Path) -> None:
        self.url = url
        self.http = http
        self.mailbox = mailbox
        self.settings = settings
        self.data = settings.data
        self.config = config
        self.keys = dict(KEYS)

    async def post(
        self,
        events: Sequence[Event],
        kind: str = "server",
        *,
        headers: Mapping[str, str] | None = None,
        **envelope: Any,
    ) -> httpx2.Response:
        """Post a batch with the key of this kind of source."""
        body = {"batch": list(events), **envelope}
        return await self.http.post("/v1/batch", json=body, auth=(self.keys[kind], ""), headers=dict(headers or {}))

    async def accepted(self, events: Sequence[Event], kind: str = "server", **envelope: Any) -> None:
        """Post a batch, which must be accepted."""
        answer = await self.post(events, kind, **envelope)
        assert answer.status_code == 200, answer.text

    async def call(self, method: str, path: str, kind: str | None = "admin", **request: Any) -> httpx2.Response:
        """A request with the key of this kind, or with none."""
        headers = {"Authorization": f"Bearer {self.keys[kind]}"} if kind else {}
        return await self.http.request(method, path, headers=headers | dict(request.pop("headers", {})), **request)

    async def get(self, path: str, **query: Any) -> Any:
        """The answer's JSON; anything but 200 fails the test."""
        answer = await self.call("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def waymark(self, *arguments: str) -> str:
        """Run the command on this deployment, beside the running process; what it printed."""
        environment = _environment(self.settings, self.config, int(self.url.rpartition(":")[2]))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "waymark", *arguments),
            cwd=ROOT,
            env=environment | {"WAYMARK_ADMIN_KEY": self.keys["admin"]},
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said
        return said.decode().strip()

    async def account(self, account_id: str) -> Any:
        """The account as lifecycle shows it, or None."""
        answer = await self.call("GET", f"/lifecycle/v1/accounts/{account_id}")
        return answer.json() if answer.status_code == 200 else None

    async def appears(self, account_id: str, seconds: float = 90) -> Any:
        """Wait until lifecycle knows the account, and show it."""

        async def known() -> bool:
            return await self.account(account_id) is not None

        await eventually(known, seconds)
        return await self.account(account_id)

    async def settle(self, seconds: float = 120) -> None:
        """Wait until every service has read what it was given, and what came of that: nothing is behind, three times over."""
        calm = 0

        async def idle() -> bool:
            nonlocal calm
            calm = calm + 1 if not any([await self._lag(name) for name in SERVICES[:4]]) else 0
            await asyncio.sleep(0.2)
            return calm >= 3

        await eventually(idle, seconds)

    async def outbox(self, **query: Any) -> list[Any]:
        """The newest deliveries that match."""
        return list((await self.get("/notify/v1/outbox", limit=500, **query))["items"])

    def mails_to(self, address: str) -> list[EmailMessage]:
        """The mails that this address received."""
        envelopes = zip(self.mailbox.mails, self.mailbox.envelopes, strict=True)
        return [mail for mail, (_, recipients) in envelopes if address.lower() in map(str.lower, recipients)]

    async def _lag(self, service: str) -> float:
        return sum(map(float, _LAG.findall((await self.call("GET", f"/{service}/metrics")).text)))


def _sends_to(smtp: int) -> dict[str, str]:
    """Live, to a mail server on this machine."""
    return {"WAYMARK_OUTREACH": "live", "WAYMARK_SMTP_URL": f"smtp://127.0.0.1:{smtp}"}


@asynccontextmanager
async def running(
    settings: Settings,
    changes: Mapping[str, Callable[[str], str]] | None = None,
    variables: Mapping[str, str] | None = None,
    *,
    live: bool = False,
) -> AsyncIterator[Product]:
    """`waymark up` on this deployment, ready.

    `changes` edit files of its own copy of the configuration (name -> text to text), `variables` are further environment
    variables, whole names. `live`: mail leaves, at any time of the day, to the mailbox.
    """
    config, port, mailbox = settings.data / "definitions", free_port(), Mailbox()
    if not config.exists():
        shutil.copytree(ROOT / "config", config)
    for name, change in {**(NO_QUIET_HOURS if live else {}), **(changes or {})}.items():
        file = config / name
        file.write_text(change(file.read_text("utf8") if file.exists() else ""), "utf8")
    url = f"http://127.0.0.1:{port}"
    if not settings.embedded:
        await asyncio.to_thread(migrations.migrate, settings, list(SERVICES[:4]))
    async with mail_server(mailbox) as smtp, httpx2.AsyncClient(base_url=url, timeout=60) as http:
        outreach = _sends_to(smtp) if live else {}
        environment = {**_environment(settings, config, port), **outreach, **(variables or {})}
        log = (settings.data / "log").open("ab")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "waymark", "up", cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            await eventually(lambda: _ready(process, http), 180)
            yield Product(url, http, mailbox, settings, config)
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), 60)  # noqa: TID251  the process is ours to end either way
                except TimeoutError:
                    process.kill()
                    await process.wait()
            log.close()


def _without_quiet_hours(text: str) -> str:
    return _QUIET.sub('quiet: {from: "00:00", until: "00:00", weekends: false}', text)


NO_QUIET_HOURS: Mapping[str, Callable[[str], str]] = {"budget.yaml": _without_quiet_hours}


def _environment(settings: Settings, config: Path, port: int) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WAYMARK_")}
    servers = {
        "DATABASE_URL": settings.database_url,
        "BUS_URL": settings.bus_url,
        "TOPIC_PREFIX": settings.topic_prefix,
    }
    own = {
        **{name: value for name, value in servers.items() if value},
        "DATA": str(settings.data),
        "CONFIG": str(config),
        "PORT": str(port),
        "KEYS": ",".join(f"{kind}:{kind}-source:{key}" for kind, key in KEYS.items()),
        "MAIL_FROM": "Team <team@vendor.test>",
        "LIVE_DESPITE": "all",
        "FIRST_SENDS": "0",
    }
    return clean | {f"WAYMARK_{name}": value for name, value in own.items()}


async def _ready(process: asyncio.subprocess.Process, http: httpx2.AsyncClient) -> bool:
    assert process.returncode is None, "it ended by itself: see the file log in its data folder"
    try:
        return all([(await http.get(f"/{name}/readyz")).status_code == 200 for name in SERVICES[:4]])
    except httpx2.TransportError:
        return False
