"""Settings: environment variables named WAYMARK_*. One process on SQLite needs none of them."""

import difflib
import re
from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

BUNDLED_CONFIG = Path(__file__).parents[1] / "config"
"""The definitions that come with Waymark: in a checkout its folder `config`, in a wheel a copy of that."""

Page = Literal["docs", "metrics"]
"""What an installation may put behind a key."""

_ADDRESSES = ("public_url", "webhook_url", "ingest_url", "lifecycle_url", "notify_url", "advocacy_url")
_OPTIONAL = (
    *_ADDRESSES,
    "database_url",
    "bus_url",
    "secret",
    "keys",
    "smtp_url",
    "webhook_secret",
    "keep_decisions_days",
)
"""Settings that may be none."""
_ADDRESS = re.compile(r"https?://[^\s/?#]+\S*")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{0,100}")
_LEAST_SECRET = 16


class Settings(BaseSettings):
    """Every setting with its default. Unset URLs mean: embedded, in the data folder."""

    model_config = SettingsConfigDict(env_prefix="WAYMARK_", extra="ignore")

    data: Path = Field(
        Path(".waymark"),
        description="folder of the embedded database and of generated secrets (`credentials.json`, mode 0600: guard it like a private key)",
    )
    config: Path = Field(
        Path("config"),
        description="folder of `lifecycle.yaml`, `plays/`, `surveys/`, `templates/`, `budget.yaml`, `referrals.yaml`; "
        "where it is unset and no folder `config` is here, one process on SQLite takes those that come with Waymark",
    )
    database_url: str | None = Field(
        None,
        description="`sqlite:///FILE`, or `postgresql+asyncpg://USER:PASSWORD@HOST/DB` (a schema for each service); unset: SQLite in the data folder",
    )
    bus_url: str | None = Field(
        None, description="`kafka://HOST:PORT[,HOST:PORT]`; unset: the log lives in the database"
    )
    topic_prefix: str = Field("", description="stands before every topic and group, for several Waymarks on one Kafka")
    partitions: int = Field(4, ge=1, le=1000, description="partitions of topics that do not exist yet, on Kafka")
    archive_days: int = Field(
        0,
        ge=0,
        le=36500,
        description="Kafka: days that `usage.v1`, the archive, is kept; 0 is for ever. Made and set so at start, checked by readyz",
    )
    session_seconds: int = Field(
        15,
        ge=2,
        le=300,
        description="Kafka: seconds that a process may be silent before its partitions go to others. Shorter takes over faster after a crash, longer bears longer pauses; the broker's `group.min.session.timeout.ms` (6 s unless set) is the floor",
    )
    event_days_back: int = Field(
        30,
        ge=1,
        le=3650,
        description="days before its receipt that a live event's time is believed (a phone that was offline); an older one is that of the receipt, an import's is believed since 1970",
    )
    event_minutes_ahead: int = Field(
        5, ge=0, le=1440, description="minutes after its receipt that the time of an event is believed, an import's too"
    )
    host: str = Field("127.0.0.1", description="address that this process listens on")
    port: int = Field(8000, ge=0, le=65535, description="port that this process listens on; 0 takes a free one")
    trusted_proxies: str = Field(
        "127.0.0.1",
        description="addresses (or CIDR) of reverse proxies, comma-separated: what they say of a visitor's address and of https (`X-Forwarded-For`, `X-Forwarded-Proto`) is believed, from nobody else",
    )
    public_url: str | None = Field(
        None, description="where customers reach survey, referral and unsubscribe pages; unset: host and port"
    )
    secret: SecretStr | None = Field(
        None, description="signs links, the same for every process; unset: generated into the data folder"
    )
    keys: SecretStr | None = Field(
        None,
        description="API keys as `kind:name:key`, comma-separated; kind is `server` (or `write`, the same), `browser`, `import`, `read` or `admin`; unset: generated into the data folder",
    )
    protect: str = Field(
        "",
        description="what takes a key of kind read like the data do: `docs` (OpenAPI descriptions and pages), `metrics`; comma-separated, empty: both are open",
    )
    browser_events_per_minute: int = Field(
        60_000,
        ge=0,
        le=10**12,
        description="events a minute from the browser keys of one name, in each process; 0: no limit. A key may have rates of its own",
    )
    browser_bytes_per_minute: int = Field(
        64 * 1024 * 1024, ge=0, le=10**12, description="bytes of events a minute, likewise"
    )
    browser_accounts_per_hour: int = Field(
        1_000, ge=0, le=10**12, description="accounts that nobody named before, an hour, likewise"
    )
    browser_contacts_per_hour: int = Field(
        10_000, ge=0, le=10**12, description="users and anonymous visitors that nobody named before, an hour, likewise"
    )
    server_events_per_minute: int = Field(
        6_000_000,
        ge=0,
        le=10**12,
        description="events a minute from the server or import keys of one name, in each process; 0: no limit",
    )
    server_bytes_per_minute: int = Field(8 * 1024**3, ge=0, le=10**12, description="bytes of events a minute, likewise")
    server_accounts_per_hour: int = Field(
        0, ge=0, le=10**12, description="accounts that nobody named before, an hour, likewise"
    )
    server_contacts_per_hour: int = Field(
        0, ge=0, le=10**12, description="users and anonymous visitors that nobody named before, an hour, likewise"
    )
    smtp_url: SecretStr | None = Field(
        None,
        description="mail server: `smtp://[USER:PASSWORD@]HOST:PORT`, `smtps://` for TLS; with a user, `smtp://` takes STARTTLS or sends nothing; unset: no mail can leave",
    )
    mail_from: str = Field("Customer Success <success@localhost.localdomain>", description="sender of e-mail")
    webhook_url: str | None = Field(
        None, description="where webhook steps of plays are posted; unset: they cannot leave"
    )
    webhook_secret: SecretStr | None = Field(
        None, description="secret that signs webhooks as Standard Webhooks say, `whsec_...`"
    )
    feedback_signatures: SecretStr | None = Field(
        None,
        description="who signs what is posted to `/notify/v1/feedback`: `standard:whsec_...` (Standard Webhooks, Svix, Resend), `mailgun:SIGNING_KEY`, `sendgrid:PUBLIC_KEY`, `header:NAME:SECRET` (HMAC-SHA256 of the body), comma-separated; then a server key alone is not enough; unset: it is",
    )
    egress_allow: str = Field("", description="private networks that webhooks may reach, comma-separated CIDR")
    outreach: Literal["preview", "live"] = Field(
        "preview",
        description="first mode of the outbox; later it is switched by REST. Live, no customer is written to while `waymark doctor` finds something missing: only addresses that are nobody's are (`.test`, `example.com` and their like), for a trial",
    )
    live_despite: str = Field(
        "",
        description="findings of `waymark doctor`, by name and comma-separated, that this installation lives with; `all` for one that writes to nobody real",
    )
    first_sends: int = Field(
        50,
        ge=0,
        le=1_000_000,
        description="messages to customers after which the rest wait for an approval, once; 0: they never do",
    )
    send_lease: int = Field(
        300,
        ge=5,
        le=3600,
        description="seconds after which a delivery whose sender was lost is taken over by another: tried again, or marked as in doubt",
    )
    advocacy_patience: int = Field(
        900,
        ge=0,
        le=86_400,
        description="seconds of advocacy's silence after which notify takes an imported history without waiting for its requests; 0: it never waits, as where advocacy is not run",
    )
    keep_parked_days: int = Field(
        400,
        ge=1,
        le=36_500,
        description="days after which parked records that nobody redrove are deleted; redriven ones go after 30 days",
    )
    keep_decisions_days: int | None = Field(
        None,
        ge=30,
        le=36_500,
        description="days of an account's history (its stages, flags, signals, with their evidence) that lifecycle keeps to show; unset: for ever",
    )
    keep_deliveries_days: int = Field(
        800,
        ge=400,
        le=36_500,
        description="days after which deliveries that came to an end are deleted, with their texts; till then they guard against a second sending, later the message has expired",
    )
    ingest_url: str | None = Field(
        None, description="where the console and `waymark import` find ingest; unset: this host and port"
    )
    lifecycle_url: str | None = Field(None, description="where the console finds lifecycle; unset: this host and port")
    notify_url: str | None = Field(None, description="where the console finds notify; unset: this host and port")
    advocacy_url: str | None = Field(None, description="where the console finds advocacy; unset: this host and port")
    log_format: Literal["text", "json"] = Field("text", description="form of the log on standard error")

    @field_validator(*_OPTIONAL, mode="before")
    @classmethod
    def _leave_out_empty(cls, given: object) -> object:
        """An empty variable, as composed files write one that nobody set, is none: an empty secret would sign links."""
        return None if given == "" else given

    @field_validator(*_ADDRESSES)
    @classmethod
    def _check_address(cls, url: str | None) -> str | None:
        if url is not None and not _ADDRESS.fullmatch(url):
            raise ValueError(f"'{url}' is no address: write https://HOST, or http://HOST:PORT")
        return url

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value().encode()) < _LEAST_SECRET:
            raise ValueError(f"it has to have {_LEAST_SECRET} bytes at least: draw it, as with `openssl rand -hex 32`")
        return secret

    @field_validator("trusted_proxies", "egress_allow")
    @classmethod
    def _check_networks(cls, text: str) -> str:
        """A network that nothing is ever in would be a proxy that is not believed, and nobody would know why."""
        for one in sorted(_listed(text) - {"*"}):
            try:
                ip_network(one)
            except ValueError as error:
                raise ValueError(f"{error}: write addresses, or networks as 10.0.0.0/8") from None
        return text

    @field_validator("topic_prefix")
    @classmethod
    def _check_prefix(cls, text: str) -> str:
        if not _TOPIC.fullmatch(text):
            raise ValueError(f"'{text}' is no prefix of a topic: letters, digits, '.', '_' and '-'")
        return text

    @field_validator("protect")
    @classmethod
    def _check_protected(cls, text: str) -> str:
        """A page thought closed that stands open for a typo is worse than no start."""
        unknown = _listed(text) - set(get_args(Page))
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))}: there are {', '.join(get_args(Page))}")
        return text

    @model_validator(mode="after")
    def _find_definitions(self) -> Self:
        """Whoever tries Waymark out has no definitions yet. A deployment that lost its own must not run on ours."""
        if "config" not in self.model_fields_set and self.embedded and not self.config.exists():
            self.config = BUNDLED_CONFIG
        return self

    @property
    def embedded(self) -> bool:
        """Whether the log lives in the database."""
        return self.bus_url is None

    def protects(self, page: Page) -> bool:
        """Whether this page takes a key."""
        return page in _listed(self.protect)

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data / 'waymark.db'}"

    @property
    def public(self) -> str:
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


_PREFIX = "WAYMARK_"


def _listed(text: str) -> set[str]:
    return {part for part in (part.strip() for part in text.split(",")) if part}


def unknown_variables(names: Iterable[str], besides: Iterable[str] = ()) -> dict[str, str]:
    """The variables named WAYMARK_* that are no setting, each with the name of the nearest setting, or with nothing."""
    known = {field.upper() for field in Settings.model_fields} | {name.removeprefix(_PREFIX) for name in besides}
    unknown = {name: name.upper().removeprefix(_PREFIX) for name in sorted(names) if name.upper().startswith(_PREFIX)}
    return {
        name: next((f"{_PREFIX}{near}" for near in difflib.get_close_matches(bare, known, 1)), "")
        for name, bare in unknown.items()
        if bare not in known
    }
