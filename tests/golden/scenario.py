"""The golden scenario: a small company's four weeks, posted through the real services over HTTP, on a clock that it moves."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from shared.settings import Settings
from tests.journey.services import RunningServices, run_services
from tests.make import FakeClock
from tests.service.notify.doors import Mailbox, mail_server
from waymark.demo.company import accounts_of
from waymark.demo.simulation import account_records

SEED = 7
BEGIN, END = date(2026, 2, 23), date(2026, 3, 16)
"""The first and the last day of live use, both Mondays; what happened before is imported."""
MOMENT = datetime(2026, 3, 16, 9, tzinfo=UTC)
"""When the data were taken: mail is on its way, and more waits behind it."""
PUBLIC = "https://golden.example"
CREDENTIALS = {name: f"golden-{name}-of-no-installation" for name in ("secret", "write", "read", "admin")}

CAST = (36, 32, 15, 10, 22, 78, 35, 54, 13, 3, 34, 18, 44, 70)
"""Numbers of the demo company's accounts: small ones, of a persona each, so that every stage has somebody."""
ADVOCATES = (54, 70)
"""Whose champions hold a code of an earlier tool: GOLDEN54 and GOLDEN70."""
HELD = 53
"""An account whose import has not ended: the file drives its clock."""

DAY = timedelta(days=1)
Body = dict[str, Any]
LINK = re.compile(r"https://golden\.example(/(?:notify/u|advocacy/[src])/[^\s)\"<>]+)")


def settings(folder: Path, config: Path, **more: Any) -> Settings:
    """Where it lives; the installation's secret is a fixed one, so that the links in golden mails stay valid."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "credentials.json").write_text(json.dumps(CREDENTIALS), "utf8")
    return Settings(data=folder, config=config, public_url=PUBLIC, live_despite="all", **more)


def lives() -> dict[str, list[Body]]:
    """Every record of the accounts of the cast, by account."""
    accounts = {one.number: one for one in accounts_of(SEED, END)}
    found = {accounts[number].id: list(account_records(accounts[number], END)) for number in (*CAST, HELD)}
    found[accounts[HELD].id] = found[accounts[HELD].id][:40]
    return found


def prologue() -> list[Body]:
    """What else happened before the first day: codes were given out, and one was used by somebody who then paid."""
    accounts = {one.number: one for one in accounts_of(SEED, END)}
    issued = noon(BEGIN) - 32 * DAY
    holders = [(f"GOLDEN{number}", accounts[number]) for number in ADVOCATES]
    codes = [
        track(holder.id, holder.people[0].user_id, "Referral Code Issued", issued, referral_code=code)
        for code, holder in holders
    ]
    early = newcomer("early-co", issued + 2 * DAY, "GOLDEN54")
    return [*codes, *early, track("early-co", "early-co-ann", "Invoice Paid", issued + 3 * DAY, amount=120)]


def at(body: Body) -> datetime:
    return datetime.fromisoformat(body["timestamp"])


def noon(day: date) -> datetime:
    """When a day is played: in the afternoon, so that mail may go out from America to Asia Minor."""
    return datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=15)


def track(account: str, user: str, event: str, when: datetime, **properties: Any) -> Body:
    name = f"{account}-{user}-{event}-{when.isoformat()}"
    return {
        "type": "track",
        "messageId": name,
        "timestamp": when.isoformat(),
        "userId": user,
        "event": event,
        "properties": properties,
        "context": {"groupId": account},
    }


def newcomer(account: str, when: datetime, code: str = "", email: str = "") -> list[Body]:
    """An account that signs up while we watch."""
    user, context = f"{account}-ann", {"groupId": account}
    head = {"timestamp": when.isoformat(), "userId": user, "context": context}
    email = email or f"ann@{account}.example"
    traits = {"email": email, "name": "Ann Lee", "role": "admin", "timezone": "UTC"}
    signed = {"referral_code": code, "email": email} if code else {}
    return [
        {"type": "group", "messageId": f"{account}-g", "groupId": account, "traits": {"name": account.title()}, **head},
        {"type": "identify", "messageId": f"{account}-i", "traits": traits, **head},
        track(account, user, "Signed Up", when),
        *([track(account, user, "Referred Signup", when, **signed)] if code else []),
    ]


def unfit(when: datetime) -> list[Body]:
    """Events that cannot be taken, each for another reason; the last two wait for their users' account."""
    who = {"userId": "stray", "context": {"groupId": "stray-company"}, "timestamp": when.isoformat()}
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    return [
        {**who, "type": "dance", "messageId": "unfit-1"},
        {"type": "track", "event": "Nobody", "messageId": "unfit-2", "timestamp": when.isoformat()},
        {
            **who,
            "type": "track",
            "event": "Late",
            "messageId": "unfit-3",
            "timestamp": "the day after tomorrow",
            "history": "h",
        },
        {**who, "type": "track", "messageId": "unfit-4"},
        {**who, "type": "track", "event": "Listed", "messageId": "unfit-5", "properties": [1]},
        {**who, "type": "track", "event": "Deep", "messageId": "unfit-6", "properties": {"deep": deep}},
        {**who, "type": "track", "event": "Nul", "messageId": "unfit-7", "properties": {"nul": "\0"}},
        {
            "type": "track",
            "event": "Feature Used",
            "messageId": "unfit-8",
            "userId": "wanderer",
            "timestamp": when.isoformat(),
        },
        {
            "type": "track",
            "event": "Feature Used",
            "messageId": "unfit-9",
            "userId": "settler",
            "timestamp": when.isoformat(),
        },
    ]


class ChoosyMailbox(Mailbox):
    """Takes no mail for one company, and hangs up in the middle of mail for another."""

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if address.endswith("@attributed-co.example"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.hang_up = any(address.endswith("@reversed-co.example") for address in envelope.rcpt_tos)
        return await super().handle_DATA(server, session, envelope)


class Customers:
    """The people who read the mails: what comes next when they click."""

    def __init__(self, on: RunningServices, box: Mailbox) -> None:
        self._on, self._box = on, box
        self._read = 0
        self._times: dict[str, int] = {}

    async def read(self) -> None:
        """Take the mails that came since."""
        fresh, self._read = self._box.mails[self._read :], len(self._box.mails)
        for mail in fresh:
            text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
            for link in dict.fromkeys(LINK.findall(text)):
                await self._follow(link)

    async def _follow(self, link: str) -> None:
        kind = "u" if "/notify/u/" in link else link.split("/")[2]
        number = self._times[kind] = self._times.get(kind, 0) + 1
        if kind == "u" and number in {4, 9}:
            await self._post(link, {"scope": "topic" if number == 4 else "everything"})
        elif kind == "s" and number % 4:
            score = link.partition("score=")[2]
            await self._post(
                link.partition("?")[0], {"score": score or str((10, 9, 3)[number % 3]), "comment": f"word {number}"}
            )
        elif kind == "c":
            await self._post(f"{link}/page", {})
        elif kind == "r" and number in {1, 2}:
            await self._post(link, {"choice": "accept" if number == 1 else "decline"})

    async def _post(self, path: str, form: dict[str, str]) -> None:
        answer = await self._on.http.post(path, data=form)
        assert answer.status_code in {200, 410, 409, 422}, (path, answer.text)


class Company:
    """One run of the scenario."""

    def __init__(self, on: RunningServices, clock: FakeClock, box: Mailbox, folder: Path) -> None:
        self.on, self.clock, self.box, self.folder = on, clock, box, folder
        self.customers = Customers(on, box)
        self.lives = lives()

    async def post(self, bodies: list[Body], **envelope: Any) -> None:
        for start in range(0, len(bodies), 400):
            batch = {"batch": bodies[start : start + 400], **envelope}
            answer = await self.on.http.post("/v1/batch", json=batch, auth=(self.on.write_key, ""))
            assert answer.status_code == 200, answer.text

    async def still(self) -> None:
        """Until neither messages nor time have anything left to do: the same for longer than timers sleep."""
        seen: list[Any] = []
        async with asyncio.timeout(300):
            while len(seen) < 4 or any(one != seen[-1] for one in seen[-4:]):
                await self.on.wait_until_idle()
                seen.append(await outline(self.on))
                await asyncio.sleep(1.6)

    async def past(self) -> None:
        """What happened before the first day is imported; one import has not come to its end."""
        ndjson = self.folder / "past.ndjson"
        lives = [body for name, bodies in self.lives.items() if name != self.held for body in bodies]
        past = sorted((body for body in [*lives, *prologue()] if at(body) < noon(BEGIN) - DAY), key=at)
        ndjson.write_text("".join(f"{json.dumps(body)}\n" for body in past), "utf8")
        await self.on.imported(ndjson, self.clock.now(), live=True)
        ndjson.unlink()
        await self.post([b for b in self.lives[self.held] if at(b) < noon(BEGIN) - DAY], history="unfinished")
        await self.still()

    @property
    def held(self) -> str:
        return next(one.id for one in accounts_of(SEED, END) if one.number == HELD)

    async def day(self, today: date) -> None:
        """One day: what was used, what else happens, what time brings, and what people do with their mail."""
        now = self.clock.time = noon(today)
        used = [b for i, n in self.lives.items() if i != self.held for b in n if now - DAY <= at(b) < now]
        await self.post(sorted(used, key=at))
        await self.specials(today)
        await self.still()
        await self.customers.read()
        await self.on.wait_until_idle()
        print(today, len(self.box.mails), "mails", flush=True)  # noqa: T201  a maker says how far it is

    async def specials(self, today: date) -> None:
        """What happens on this day besides use."""
        plans: dict[int, Callable[[datetime], Awaitable[None]]] = {
            1: self._somebody_new,
            2: self._found_a_home,
            3: self._referred,
            5: self._first_invoices,
            7: self._live,
            8: self._refund_and_tasks,
            9: self._declined,
            4: self._promoters,
            6: self._approved,
            19: self._money,
            20: self._a_busy_sunday,
        }
        number = (today - BEGIN).days
        if number in plans:
            await plans[number](noon(today) - timedelta(hours=5))

    async def _somebody_new(self, when: datetime) -> None:
        await self.post(newcomer("brookline", when))
        await self.post(unfit(when))

    async def _found_a_home(self, when: datetime) -> None:
        who = {"type": "identify", "userId": "settler", "messageId": "home", "timestamp": when.isoformat()}
        await self.post([{**who, "traits": {"email": "sam@brookline.example"}, "context": {"groupId": "brookline"}}])
        parked = await self.on.pages("/ingest/v1/parked")
        again = [one["id"] for one in parked if one["reason"] == "no_event_name"]
        await self.call("/ingest/v1/parked/redrive", {"ids": again})

    async def _referred(self, when: datetime) -> None:
        giver = next(one for one in accounts_of(SEED, END) if one.number == ADVOCATES[0])
        await self.post(newcomer("attributed-co", when, "GOLDEN54"))
        await self.post(newcomer("converted-co", when, "GOLDEN54"))
        await self.post(newcomer("reversed-co", when, "GOLDEN70"))
        await self.post(newcomer("refused-co", when, "GOLDEN54", giver.people[0].email))
        await self.post(newcomer("waiting-co", when, "NOBODYHOLDSTHIS"))

    async def _first_invoices(self, when: datetime) -> None:
        paying = ("converted-co", "reversed-co")
        await self.post([track(one, f"{one}-ann", "Invoice Paid", when, amount=120) for one in paying])

    async def _live(self, _when: datetime) -> None:
        await self.put("/notify/v1/mode", {"mode": "live"})
        for play in ("welcome", "nps_invite", "csat_invite", "referral_invite"):
            await self.call("/notify/v1/outbox/release", {"play": play})

    async def _promoters(self, when: datetime) -> None:
        fans = [one for one in accounts_of(SEED, END) if one.number in {170, 10}]
        await self.post([track(one.id, one.people[0].user_id, "NPS Answered", when, score=10) for one in fans])

    async def _a_busy_sunday(self, when: datetime) -> None:
        """Mail to all of these waits for Monday: more than are sent at once."""
        for number in range(7):
            await self.post(newcomer(f"sunday-{number}", when))

    async def _refund_and_tasks(self, when: datetime) -> None:
        await self.post([track("reversed-co", "reversed-co-ann", "Invoice Refunded", when, amount=120)])
        for task in (await self.on.pages("/notify/v1/tasks"))[:3]:
            await self.call(f"/notify/v1/tasks/{task['id']}/done", {})

    async def _declined(self, _when: datetime) -> None:
        said = {"account": "brookline", "user": "brookline-ann", "topic": "survey", "granted": False}
        await self.put("/notify/v1/consents", said)

    async def _approved(self, _when: datetime) -> None:
        """Rewards of an imported past wait for a person."""
        await self._rewards("pending", "approve", 2)

    async def _money(self, _when: datetime) -> None:
        await self._rewards("payable", "pay", 1)

    async def _rewards(self, status: str, move: str, count: int) -> None:
        found = [r for one in await self.on.pages("/advocacy/v1/referrals") for r in one["rewards"]]
        for reward in [one for one in found if one["status"] == status][:count]:
            await self.call(f"/advocacy/v1/rewards/{reward['id']}/{move}", None)

    async def call(self, path: str, body: Body | None) -> None:
        answer = await self.on.http.post(path, json=body)
        assert answer.status_code in {200, 201}, (path, answer.text)

    async def put(self, path: str, body: Body) -> None:
        answer = await self.on.http.put(path, json=body)
        assert answer.status_code == 200, (path, answer.text)


async def outline(on: RunningServices) -> Any:
    accounts = await on.pages("/lifecycle/v1/accounts", limit=500)
    outbox = await on.pages("/notify/v1/outbox", limit=500)
    referrals = await on.pages("/advocacy/v1/referrals", limit=500)
    notes = await on.pages("/advocacy/v1/notes", limit=500)
    return accounts, [(one["id"], one["status"], one["not_before"]) for one in outbox], referrals, len(notes)


@asynccontextmanager
async def hanging(port: int) -> AsyncIterator[None]:
    """A mail server that keeps its first client waiting after the data, and every other one before the greeting."""
    clients: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(writer)
        if len(clients) > 1:
            return
        writer.write(b"220 mx.test\r\n")
        while line := await reader.readline():
            verb = line.split(b" ")[0].strip().upper()
            writer.write(b"354 go on\r\n" if verb == b"DATA" else b"250 ok\r\n")
            if verb == b"DATA":
                return

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        for writer in clients:
            writer.transport.abort()


async def played(where: Settings, port: int, take: Callable[[RunningServices], Awaitable[None]]) -> None:
    """Run the scenario; `take` copies the data while mail is on its way."""
    clock, box = FakeClock(datetime.combine(BEGIN, datetime.min.time(), UTC)), ChoosyMailbox()
    where = where.model_copy(update={"smtp_url": SecretStr(f"smtp://127.0.0.1:{port}")})
    async with run_services(where, clock=clock) as on:
        company = Company(on, clock, box, where.data)
        async with mail_server(box, port):
            await company.past()
            for today in days():
                await company.day(today)
        async with hanging(port):
            clock.time = MOMENT
            async with asyncio.timeout(60):
                while not all([await on.pages("/notify/v1/outbox", status=one) for one in ("sending", "pending")]):  # noqa: ASYNC110  it is in a database
                    await asyncio.sleep(0.05)
            await asyncio.sleep(1)
            await on.wait_until_idle()
            await take(on)


def days() -> Iterator[date]:
    day = BEGIN
    while day < END:
        yield day
        day += timedelta(days=1)
