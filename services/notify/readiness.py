"""Readiness to go live: what an installation lacks before a customer may get its first mail, and how to set each thing.

The same findings stand behind `PUT /notify/v1/mode`, the console's button and `waymark doctor`. What blocks is refused, and
holds what waits where an installation is live already; `WAYMARK_LIVE_DESPITE` names what somebody has decided to live with.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from services.notify import store
from services.notify.channels.channel import Delivery, Now, Receipt, Sender, confirmed
from services.notify.channels.email import EmailSender, InvalidMail, parse_sender
from services.notify.channels.table import CHANNELS
from services.notify.content import blocks
from services.notify.definition import Definition
from services.notify.mail_design import MailDesign
from services.notify.sending_limits import FirstSends
from shared.brand import BRAND_FILE, HOUSE_FILE, is_unread
from shared.db.protocol import Database
from shared.definitions import load_plain
from shared.failures import Refused
from shared.settings import BUNDLED_CONFIG, Settings

EVERYTHING = "all"
REFERRALS_FILE = "referrals.yaml"
_EXAMPLE_HOST = re.compile(
    r"(^|[.@/])(example\.(com|org|net|edu)|[\w-]+\.(example|test|invalid|localhost|localdomain)|localhost)\b",
    re.IGNORECASE,
)
_EXAMPLE_WORDS = re.compile(r"\b(Our Product|Example (Ltd|Inc|Street|Town|Company)|1 Example Street)\b")
_LOCAL_NAMES = ("localhost", ".localhost", ".localdomain", ".local", ".internal", ".lan")
_COMMENT = re.compile(r"(^|\s)#.*")
_WHO_WRITES = {BRAND_FILE, HOUSE_FILE.name}
_ASKED = re.compile(r"(name|product|address|app_url):")
"""Lines of the brand that have a finding of their own."""
_SHOWN = 8
_FRESH = timedelta(seconds=30)
_TEXTS = (".yaml", ".j2", ".mjml")


class Finding(NamedTuple):
    """Something that is missing or wrong, in words, and how to mend it. `blocks`: nothing is sent to customers with it."""

    name: str
    problem: str
    remedy: str
    blocks: bool = True

    @property
    def words(self) -> str:
        return f"{self.name}: {self.problem}. {self.remedy}"


class Readiness:
    """The readiness of this installation: what its settings and files lack, and what its mail server says to a greeting."""

    def __init__(self, settings: Settings, defined: Definition, mail: Sender | None, now: Now) -> None:
        self._settings = settings
        self._brand = defined.brand
        self._product = str(defined.company.get("product") or "Waymark")
        self._mail = mail if isinstance(mail, EmailSender) else None
        self._now = now
        self._static = findings(settings, defined)
        self._asked: tuple[datetime, list[Finding]] | None = None

    @property
    def refusal(self) -> str:
        """Why no customer may be written to, of what never changes while the process runs; empty where they may."""
        return refusal(self._static)

    async def findings(self) -> list[Finding]:
        """Everything, with the mail server asked, unless that was done within half a minute."""
        if self._asked is None or self._now() - self._asked[0] >= _FRESH:
            self._asked = self._now(), await self._mail_server()
        return sorted([*self._static, *self._asked[1]], key=lambda one: not one.blocks)

    async def notices(self, database: Database, first_sends: FirstSends) -> dict[str, str]:
        """What readyz tells: that no customer is written to although the mode is live, and that messages wait for the approval."""
        async with database.snapshot() as read:
            mode = (await store.read_mode(read, self._settings.outreach)).mode
            approval = await first_sends.status(read)
        held = (
            {"going-live": f"no customer is written to, this installation is not ready for it: {self.refusal}"}
            if mode == "live" and self.refusal
            else {}
        )
        return held | ({"approval": approval.words} if approval.words else {})

    async def send_test_mail(self, to: str, delivery_id: str) -> Receipt:
        """Send a mail to somebody of our own. Raises Refused while there is no mail server."""
        if self._mail is None:
            raise Refused("WAYMARK_SMTP_URL is not set: no mail can leave", "not_configured", 409)
        title = f"A test mail of {self._product}"
        text = (
            f"This is a test mail of {self._product}'s Waymark, sent because somebody asked for it.\n\n"
            f"If you read it, mail leaves. Look whether it came into the inbox, who it says it is from, and that its headers\n"
            f"name SPF and DKIM as passed. Links in mails will lead to {self._settings.public}\n"
        )
        html = MailDesign(self._brand).page(title, blocks(text, {}))
        delivery = Delivery(
            id=delivery_id,
            account="",
            play="",
            step="",
            outreach_class="transactional",
            subject=title,
            text=text,
            html=html,
            email=to,
            reply_to=parseaddr(self._brand.reply_to)[1] or None,
        )
        return await self._mail.send(delivery, confirmed)

    async def _mail_server(self) -> list[Finding]:
        if self._mail is None:
            return []
        greeting, name = await self._mail.probe(), "mail_server"
        host = urlsplit(self._settings.smtp_url.get_secret_value() if self._settings.smtp_url else "").hostname or ""
        if greeting.problem:
            problem = f"the mail server would take no mail: {greeting.problem}"
            how = "Look at WAYMARK_SMTP_URL (host, port, user, password; smtps:// for TLS) and WAYMARK_MAIL_FROM"
        elif not greeting.encrypted and not is_local(host):
            name, problem = "mail_tls", f"{host} offers no STARTTLS: names, addresses and texts would travel in clear"
            how = "Use smtps://, or a server with STARTTLS"
        else:
            return []
        return [Finding(name, problem, how, blocks=not accepts(self._settings, name))]


def findings(settings: Settings, defined: Definition) -> list[Finding]:
    """All that can be said without asking another machine, what blocks first. What somebody accepted does not block."""
    found = [
        *_definitions(settings),
        *_company(defined, _brand_file(settings.config)),
        *_links(settings),
        *_channels(settings, defined),
        *_answers(settings, defined),
        *_examples(settings.config),
        *_lacking(defined, _brand_file(settings.config)),
        *_sign_up(settings.config / REFERRALS_FILE),
    ]
    judged = [one._replace(blocks=one.blocks and not accepts(settings, one.name)) for one in found]
    return sorted(judged, key=lambda one: not one.blocks)


def accepts(settings: Settings, name: str) -> bool:
    """Whether this installation has decided to live with findings of this name."""
    return not {name, EVERYTHING}.isdisjoint(part.strip() for part in settings.live_despite.split(","))


def refusal(found: Iterable[Finding]) -> str:
    """Why live mode is refused, with everything that blocks it; empty where nothing does."""
    missing = [one.words for one in found if one.blocks]
    return f"{len(missing)} missing - {' - '.join(missing)}" if missing else ""


def is_local(host: str) -> bool:
    """Whether a name or address means this machine or a network that no customer can reach."""
    host = host.strip("[]").rstrip(".").lower()
    try:
        address = ip_address(host)
    except ValueError:
        return not host or "." not in host or host.endswith(_LOCAL_NAMES)
    return not address.is_global


def is_example(text: str) -> bool:
    """Whether it is what our examples say: a name that nobody has, or a domain that never exists."""
    return bool(_EXAMPLE_HOST.search(text) or _EXAMPLE_WORDS.search(text))


def _company(defined: Definition, file: str) -> Iterator[Finding]:
    """Who writes: names that are still those of our examples."""
    name_key = "name" if file.endswith(BRAND_FILE) else "product"
    asked = {
        "product": (name_key, "the product's name", "Write its name"),
        "address": ("address", "the postal address under each mail", "The law asks for your company's; write it"),
        "app_url": ("app_url", "the product's address", "Write where customers sign in"),
    }
    for name, (key, what, remedy) in asked.items():
        value = str(defined.company.get(name) or "").strip()
        local = name == "app_url" and bool(value) and is_local(urlsplit(value).hostname or "")
        if not value or is_example(value) or local:
            said = f"'{value}'" if value else "empty"
            yield Finding(name, f"{what} is {said}", f"{remedy} into '{key}' of {file}")


def _brand_file(config: Path) -> str:
    return str(config / (HOUSE_FILE if (config / HOUSE_FILE).exists() else BRAND_FILE))


def _definitions(settings: Settings) -> Iterator[Finding]:
    if settings.config == BUNDLED_CONFIG:
        how = f"Copy {BUNDLED_CONFIG} to a folder of your own, set WAYMARK_CONFIG to it, and write your names there"
        yield Finding(
            "config",
            "the definitions are those that come with Waymark: the next version replaces them",
            how,
            blocks=False,
        )


def _links(settings: Settings) -> Iterator[Finding]:
    to = urlsplit(settings.public)
    how = "Set WAYMARK_PUBLIC_URL to the https:// address at which customers reach this installation"
    if settings.public_url is None:
        yield Finding("public_url", f"WAYMARK_PUBLIC_URL is not set: the links in mails lead to {settings.public}", how)
    elif is_local(to.hostname or "") or is_example(to.hostname or ""):
        yield Finding("public_url", f"the links in mails lead to {settings.public}, which no customer can reach", how)
    elif to.scheme != "https":
        yield Finding("public_url", f"the links in mails lead to {settings.public}, which is not https", how)


def _channels(settings: Settings, defined: Definition) -> Iterator[Finding]:
    used = {step.channel.name for play in defined.playbook.plays.values() for step in play.steps if step.channel}
    if "email" in used:
        yield from _mail(settings)
    for name, problem in CHANNELS.missing(settings).items():
        if name in used and name != "email":
            yield Finding(
                name, f"plays send on the channel '{name}' and {problem}: those messages wait", "Set it", blocks=False
            )


def _mail(settings: Settings) -> Iterator[Finding]:
    if settings.smtp_url is None:
        how = "Set it to smtps://USER:PASSWORD@HOST, or smtp://USER:PASSWORD@HOST:587 for STARTTLS"
        yield Finding("smtp_url", "WAYMARK_SMTP_URL is not set: no mail can leave", how)
    how = (
        "Set it to NAME <NAME@HOST>, as 'from' of brand.yaml or WAYMARK_MAIL_FROM, with a domain whose SPF and DKIM name "
        "your mail server"
    )
    try:
        domain = parse_sender(settings.mail_from).domain
    except (InvalidMail, ValueError) as error:
        yield Finding("mail_from", f"the sender '{settings.mail_from}' is no address: {error}", how)
        return
    if is_local(domain) or is_example(f"@{domain}"):
        yield Finding("mail_from", f"mail would come from '{settings.mail_from}', a domain that is nobody's", how)


def _answers(settings: Settings, defined: Definition) -> Iterator[Finding]:
    """Where answers go: nearly every mail asks for one."""
    to = defined.brand.reply_to or settings.mail_from
    how = f"Write an address that somebody reads into 'reply_to' of {_brand_file(settings.config)}"
    domain = parseaddr(to)[1].rpartition("@")[2]
    if is_unread(to):
        yield Finding("reply_to", f"mails say 'answer this mail', and answers go to '{to}'", how)
    elif defined.brand.reply_to and (is_local(domain) or is_example(f"@{domain}")):
        yield Finding("reply_to", f"answers go to '{to}', a domain that is nobody's", how)


def _sign_up(file: Path) -> Iterator[Finding]:
    """Where the friends of advocates are led. Whether the file is right, advocacy checks."""
    rules = load_plain(file) if file.exists() else None
    if isinstance(rules, Mapping) and rules.get("enabled", True) and not rules.get("signup_url"):
        problem = "a friend who follows an advocate's link finds a code to type, and no button to sign up"
        yield Finding("signup_url", problem, f"Write where one signs up into 'signup_url' of {file}", blocks=False)


def _lacking(defined: Definition, file: str) -> Iterator[Finding]:
    """Plays that do not start, since a text of theirs needs what the brand does not say."""
    for name, play in defined.playbook.plays.items():
        if play.lacks:
            how = f"Write it into {file}, or leave the play out"
            yield Finding("brand", f"the play '{name}' does not start: {play.lacks}", how, blocks=False)


def _examples(config: Path) -> Iterator[Finding]:
    """Names and domains of our examples that are left anywhere in the company's files."""
    places = [
        f"{file.relative_to(config)}:{number} ({line.strip()[:60]})"
        for file in sorted(config.rglob("*"))
        if file.suffix in _TEXTS and "schemas" not in file.parts
        for number, line in enumerate(file.read_text("utf8").splitlines(), 1)
        if is_example(_COMMENT.sub("", line)) and not (file.name in _WHO_WRITES and _ASKED.match(line))
    ]
    if places:
        more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
        yield Finding("examples", f"left from our examples: {', '.join(places[:_SHOWN])}{more}", "Write your own there")
