"""What is notify made of?"""

from datetime import timedelta
from functools import partial
from urllib.parse import unquote, urlsplit

from aiosmtplib import SMTP
from fastapi import FastAPI

from services.notify.channels.channel import Channel
from services.notify.channels.email import Email
from services.notify.channels.mail import Unwritable
from services.notify.channels.webhook import Webhook
from services.notify.definition import Definition, known_names, load_plays
from services.notify.effects import Sends
from services.notify.handlers.planning import GROUP, Handlers
from services.notify.handlers.sending import Sending
from services.notify.handlers.writing import Writer
from services.notify.http import manage, outbox, pages
from services.notify.store import accounts
from shared.bus.partitioner import partition_of
from shared.contracts.topics import ADVOCACY, LIFECYCLE
from shared.egress import Egress
from shared.failures import Refused
from shared.http import parked
from shared.links import Links
from shared.networks import networks
from shared.service.loops import every
from shared.service.parts import Parts, Service, Work
from shared.service.timers import Timers
from shared.settings import Settings

_LOOK = 5.0
_SEND = 1.0
_SMTP_PATIENCE = 30.0
_PORTS = {"smtp": 25, "smtps": 465}


def definition(settings: Settings) -> Definition:
    """The company's plays, texts and budget. Raises DefinitionError with every mistake and its line."""
    lifecycle = settings.config / "lifecycle.yaml"
    return load_plays(settings.config, known_names(lifecycle) if lifecycle.exists() else None)


def wire(parts: Parts) -> Service:
    """Build the service. Raises DefinitionError with every mistake in the company's files."""
    return built(parts, definition(parts.settings))


def built(parts: Parts, defined: Definition) -> Service:
    """The service for this definition."""
    settings = parts.settings
    parts_of_lifecycle = parts.bus.partitions(LIFECYCLE.name)
    part_of = partial(_part_of, parts_of_lifecycle)
    links = Links(parts.secret)
    writer = Writer(defined, links, settings.public)
    handlers = Handlers(defined.playbook, writer, part_of, parts.clock, settings.outreach)
    passage = parts.passage(GROUP, [LIFECYCLE, ADVOCACY], handlers.told)
    timers = Timers(passage, LIFECYCLE, accounts.due, handlers, parts.database, parts.clock)
    ready, missing = channels(parts)
    lease = timedelta(seconds=settings.send_lease)
    sending = Sending(defined.playbook, part_of, settings.outreach, missing, lease)
    sends = Sends(sending, writer, ready, parts.database, parts.clock)
    app = FastAPI(title="Waymark notify", summary="What was said to customers, what was not, and why.")
    app.include_router(outbox.router(parts, defined.playbook, part_of))
    app.include_router(manage.router(parts, defined.playbook, part_of))
    app.include_router(pages.router(parts, links, part_of, defined.house))
    app.include_router(parked.router(parts, GROUP, passage.redrive))
    loops: dict[str, Work] = {
        "notify-timers": partial(every, _LOOK, timers.fire),
        "notify-sends": partial(every, _SEND, sends.send),
    }
    return Service("notify", app, [passage], loops)


def _part_of(partitions: int, account: str) -> int:
    return partition_of(account.encode(), partitions)


def channels(parts: Parts) -> tuple[dict[str, Channel], dict[str, str]]:
    """The channels that are set up, and for the others what to set: their deliveries wait, with that reason."""
    settings, missing = parts.settings, dict[str, str]()
    ready: dict[str, Channel] = {}
    if settings.smtp_url is None:
        missing["email"] = "WAYMARK_SMTP_URL is not set"
    else:
        ready["email"] = _email(parts, settings.smtp_url.get_secret_value())
    if settings.webhook_url is None or settings.webhook_secret is None:
        missing["webhook"] = "WAYMARK_WEBHOOK_URL and WAYMARK_WEBHOOK_SECRET are not both set"
    else:
        ready["webhook"] = _webhook(parts, settings.webhook_url, settings.webhook_secret.get_secret_value())
    return ready, missing


def _email(parts: Parts, url: str) -> Email:
    to = urlsplit(url)
    if to.scheme not in _PORTS or not to.hostname:
        raise Refused("WAYMARK_SMTP_URL: use smtp://[USER:PASSWORD@]HOST:PORT, or smtps:// for TLS")
    connect = partial(
        SMTP,
        hostname=to.hostname,
        port=to.port or _PORTS[to.scheme],
        username=unquote(to.username) if to.username else None,
        password=unquote(to.password) if to.password else None,
        use_tls=to.scheme == "smtps",
        timeout=min(_SMTP_PATIENCE, parts.settings.send_lease / 2),
    )
    try:
        return Email(connect, parts.settings.mail_from, parts.clock.now)
    except Unwritable as error:
        raise Refused(f"WAYMARK_MAIL_FROM: {error}; use NAME <NAME@HOST>") from None


def _webhook(parts: Parts, url: str, secret: str) -> Webhook:
    try:
        allow = networks(parts.settings.egress_allow)
        return Webhook(Egress(allow), url, secret, parts.clock.now)
    except ValueError as error:
        raise Refused(f"WAYMARK_EGRESS_ALLOW or WAYMARK_WEBHOOK_SECRET: {error}") from None
