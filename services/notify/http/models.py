"""Models of the REST API: what requests carry and answers show."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.outreach import DeliveryStatus, OutreachMode

Name = Annotated[str, Field(min_length=1, max_length=200, pattern="^[^\\x00]*$")]
Filter = Annotated[str | None, Query(max_length=200)]


class DeliveryRow(BaseModel):
    """One delivery in a list. `at` is the account's own time, `planned_at` the wall clock's; `reason` says why not.

    `owner` is who looks after the account (the trait `csm`); names are null where nobody told them. Of a task that was closed,
    `outcome` is what came of it and `done_by` who closed it.
    """

    id: str
    account: str
    user: str | None
    address: str | None
    play: str
    step: str
    channel: str
    outreach_class: str
    status: DeliveryStatus
    reason: str
    detail: str
    at: datetime
    planned_at: datetime
    not_before: datetime
    expires_at: datetime
    history: bool
    subject: str
    attempt: int
    sent_at: datetime | None
    done_at: datetime | None
    account_name: str | None
    owner: str | None
    user_name: str | None
    outcome: str
    done_by: str


class DeliveryView(DeliveryRow):
    """One delivery with what went, or was planned to go. `stage` is how far the last attempt got."""

    text: str
    html: str
    stage: str
    provider_ref: str


class ModeView(BaseModel):
    """Whether deliveries leave; `set_by` is empty while the settings decide."""

    mode: OutreachMode
    set_by: str
    set_at: datetime | None


class ModeWanted(BaseModel):
    """preview: nothing leaves, new deliveries are only shown. live: new deliveries, and released ones, are sent."""

    model_config = ConfigDict(extra="forbid")
    mode: OutreachMode


class PlayWanted(BaseModel):
    """Which play."""

    model_config = ConfigDict(extra="forbid")
    play: Name


class TaskDone(BaseModel):
    """What came of a task, in words; a body need not be sent."""

    model_config = ConfigDict(extra="forbid")
    outcome: Annotated[str, Field(max_length=2000, pattern="^[^\\x00]*$")] = ""


class Released(BaseModel):
    """How many deliveries were let go; they leave while the mode is live."""

    released: int


class RedriveWanted(BaseModel):
    """Which failed deliveries: those of a play, of a channel, or all."""

    model_config = ConfigDict(extra="forbid")
    play: Name | None = None
    channel: Name | None = None


class Redriven(BaseModel):
    """How many are sent again, and how many were left out because they have expired."""

    redriven: int
    expired: int


class StepView(BaseModel):
    """One step of a play; `after` and `expires` in seconds. Channel and template are empty where it sends nothing."""

    name: str
    channel: str
    template: str
    after: float
    expires: float


class PlayView(BaseModel):
    """One play: what starts it, what it does, and how its deliveries stand by status.

    `reasons` counts those that did not go out (skipped, failed, unknown) by why; null where nobody asked.
    `lacks` is what has to be configured before it starts, empty where nothing has.
    """

    name: str
    description: str
    outreach_class: str
    topic: str
    stages: list[str]
    trigger: str
    steps: list[StepView]
    counts: dict[str, int]
    reasons: dict[str, int] | None
    lacks: str


class ConsentWanted(BaseModel):
    """Consent of a person to a topic: a play's topic or class, or `*` for everything but transactional mail."""

    model_config = ConfigDict(extra="forbid")
    account: Name
    user: Name
    topic: Name = "*"
    granted: bool


class ConsentView(BaseModel):
    """The latest consent of a person. `source` is `link` for the page in our mails, else the key that was used."""

    account: str
    user: str
    topic: str
    granted: bool
    source: str
    changed_at: datetime
