"""What is notify made of?"""

from datetime import timedelta
from functools import partial
from urllib.parse import unquote, urlsplit

from aiosmtplib import SMTP

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
from shared.http.app import service_app
from shared.links import Links
from shared.networks import networks
from shared.service.context import Service, ServiceContext, Work
from shared.service.supervisor import run_periodically
from shared.service.timers import Timers
from shared.settings import Settings

_POLL = 5.0
_SEND = 1.0
_SMTP_PATIENCE = 30.0
_PORTS = {"smtp": 25, "smtps": 465}


def definition(settings: Settings) -> Definition:
    """The company's plays, texts and budget. Raises DefinitionError with every mistake and its line."""
    lifecycle = settings.config / "lifecycle.yaml"
    return load_plays(settings.config, known_names(lifecycle) if lifecycle.exists() else None)


def wire(context: ServiceContext) -> Service:
    """Build the service. Raises DefinitionError with every mistake in the company's files."""
    return built(context, definition(context.settings))


def built(context: ServiceContext, defined: Definition) -> Service:
    """The service for this definition."""
    settings = context.settings
    lifecycle_partitions = context.bus.partitions(LIFECYCLE.name)
    part_of = partial(_part_of, lifecycle_partitions)
    links = Links(context.secret)
    writer = Writer(defined, links, settings.public)
    handlers = Handlers(defined.playbook, writer, part_of, context.clock, settings.outreach)
    consumer = context.consumer(GROUP, [LIFECYCLE, ADVOCACY], handlers.told)
    timers = Timers(consumer, LIFECYCLE, accounts.due, handlers, context.database, context.clock)
    ready, missing = channels(context)
    lease = timedelta(seconds=settings.send_lease)
    sending = Sending(defined.playbook, part_of, settings.outreach, missing, lease)
    sends = Sends(sending, writer, ready, context.database, context.clock)
    app = service_app(title="Waymark notify", summary="What was said to customers, what was not, and why.")
    app.include_router(outbox.router(context, defined.playbook, part_of))
    app.include_router(manage.router(context, defined.playbook, part_of))
    app.include_router(pages.router(context, links, part_of, defined.house))
    app.include_router(parked.router(context, GROUP, consumer.redrive))
    loops: dict[str, Work] = {
        "notify-timers": partial(run_periodically, _POLL, timers.fire),
        "notify-sends": partial(run_periodically, _SEND, sends.send),
    }
    return Service("notify", app, [consumer], loops)


def _part_of(partitions: int, account: str) -> int:
    return partition_of(account.encode(), partitions)


def channels(context: ServiceContext) -> tuple[dict[str, Channel], dict[str, str]]:
    """The channels that are set up, and for the others what to set: their deliveries wait, with that reason."""
    settings, missing = context.settings, dict[str, str]()
    ready: dict[str, Channel] = {}
    if settings.smtp_url is None:
        missing["email"] = "WAYMARK_SMTP_URL is not set"
    else:
        ready["email"] = _email(context, settings.smtp_url.get_secret_value())
    if settings.webhook_url is None or settings.webhook_secret is None:
        missing["webhook"] = "WAYMARK_WEBHOOK_URL and WAYMARK_WEBHOOK_SECRET are not both set"
    else:
        ready["webhook"] = _webhook(context, settings.webhook_url, settings.webhook_secret.get_secret_value())
    return ready, missing


def _email(context: ServiceContext, url: str) -> Email:
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
        timeout=min(_SMTP_PATIENCE, context.settings.send_lease / 2),
    )
    try:
        return Email(connect, context.settings.mail_from, context.clock.now)
    except Unwritable as error:
        raise Refused(f"WAYMARK_MAIL_FROM: {error}; use NAME <NAME@HOST>") from None


def _webhook(context: ServiceContext, url: str, secret: str) -> Webhook:
    try:
        allow = networks(context.settings.egress_allow)
        return Webhook(Egress(allow), url, secret, context.clock.now)
    except ValueError as error:
        raise Refused(f"WAYMARK_EGRESS_ALLOW or WAYMARK_WEBHOOK_SECRET: {error}") from None
