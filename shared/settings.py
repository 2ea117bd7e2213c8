"""Settings: environment variables named WAYMARK_*. One process on SQLite needs none of them."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting with its default. Unset URLs mean: embedded, in the data folder."""

    model_config = SettingsConfigDict(env_prefix="WAYMARK_", extra="ignore")

    data: Path = Field(Path(".waymark"), description="folder of the embedded database and of generated secrets")
    config: Path = Field(Path("config"), description="folder of lifecycle.yaml, plays/, surveys/, templates/")
    database_url: str | None = Field(None, description="sqlite:///FILE or postgresql+asyncpg://USER:PASSWORD@HOST/DB")
    bus_url: str | None = Field(None, description="kafka://HOST:PORT[,HOST:PORT]; unset: the log lives in the database")
    topic_prefix: str = Field("", description="stands before every topic and group, for several Waymarks on one Kafka")
    partitions: int = Field(4, ge=1, le=1000, description="partitions of topics that do not exist yet, on Kafka")
    session_seconds: int = Field(
        15, ge=2, le=300, description="silence after which Kafka gives a member's partitions away"
    )
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    public_url: str | None = Field(None, description="where customers reach survey, referral and unsubscribe pages")
    secret: SecretStr | None = Field(None, description="signs links; generated into the data folder when unset")
    keys: SecretStr | None = Field(None, description="kind:name:key, comma-separated; kind is write, read or admin")
    smtp_url: SecretStr | None = Field(None, description="smtp://[USER:PASSWORD@]HOST:PORT, smtps:// for TLS")
    mail_from: str = Field("Customer Success <success@localhost.localdomain>")
    webhook_url: str | None = Field(None, description="where webhook steps of plays are posted")
    webhook_secret: SecretStr | None = Field(None, description="Standard Webhooks signing secret, whsec_...")
    egress_allow: str = Field("", description="networks webhooks may reach although private, comma-separated CIDR")
    outreach: Literal["preview", "live"] = Field(
        "preview", description="first mode of the outbox; switch it by REST later"
    )
    send_lease: int = Field(
        300, ge=5, le=3600, description="seconds after which a delivery whose sender was lost is settled by another"
    )
    ingest_url: str | None = None
    lifecycle_url: str | None = None
    notify_url: str | None = None
    advocacy_url: str | None = None
    log_format: Literal["text", "json"] = "text"

    @property
    def embedded(self) -> bool:
        """Whether the log lives in the database."""
        return self.bus_url is None

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data / 'waymark.db'}"

    @property
    def public(self) -> str:
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


_PREFIX = "WAYMARK_"


def unknown_variables(names: Iterable[str], besides: Iterable[str] = ()) -> dict[str, str]:
    """The variables named WAYMARK_* that are no setting, each with the name of the nearest setting, or with nothing."""
    known = {field.upper() for field in Settings.model_fields} | {name.removeprefix(_PREFIX) for name in besides}
    unknown = {name: name.upper().removeprefix(_PREFIX) for name in sorted(names) if name.upper().startswith(_PREFIX)}
    return {
        name: next((f"{_PREFIX}{near}" for near in difflib.get_close_matches(bare, known, 1)), "")
        for name, bare in unknown.items()
        if bare not in known
    }
