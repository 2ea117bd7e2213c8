"""Response models of lifecycle's REST resources."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.evidence import ClauseKind, Value


class Person(BaseModel):
    """A person of an account, as identify calls describe them."""

    user: str
    name: str | None
    email: str | None
    role: str | None


class RaisedFlag(BaseModel):
    """A flag that is raised, since when, and why it was, in words; an empty reason where that decision is not kept any more."""

    flag: str
    since: datetime | None
    reason: str


class AccountRow(BaseModel):
    """One account in a list. `score` is health, 0 to 100, null when unknown; `clock` is the account's own time.

    `owner` is who looks after it (the trait `csm`), `renewal_at` when it renews; null where no trait says so. `people` is
    null in a list where nobody asked for them (`people=true`), as `raised` is, why its flags are raised (`why=true`).
    """

    id: str
    name: str
    stage: str
    entered_at: datetime
    flags: list[str]
    band: str
    score: float | None
    clock: datetime
    owner: str | None
    plan: str | None
    renewal_at: datetime | None
    people: list[Person] | None = None
    raised: list[RaisedFlag] | None = None


class ClauseView(BaseModel):
    """One condition, measure or cap: its text, the values it saw, the threshold of a plain comparison, and whether it is satisfied.

    `words` is the text as a person reads it. Of kind measure: `measure` of `dimension` scores `metric`, satisfied when it counted. Of kind cap: satisfied while it
    binds the score to `threshold`.
    """

    text: str
    words: str = ""
    values: dict[str, Value]
    satisfied: bool
    threshold: Value = None
    kind: ClauseKind = "condition"
    dimension: str | None = None
    measure: str | None = None
    metric: str | None = None
    cap: str | None = None


class EdgeView(BaseModel):
    """One edge out of the stage the account is in, and what is missing for it."""

    rule: str
    to: str
    holds: bool
    clauses: list[ClauseView]
    since: datetime | None
    hold_days: int
    dwell_days: int


class ClearingView(BaseModel):
    """What clears a flag that is raised: its conditions as they are now, and for how long they must hold."""

    flag: str
    holds: bool
    clauses: list[ClauseView]
    since: datetime | None
    hold_days: int


class HealthView(BaseModel):
    """The score and the measures behind it. `coverage` is the share of weight that had fresh data, 0 to 1."""

    band: str
    score: float | None
    coverage: float
    clauses: list[ClauseView]


class AccountView(AccountRow):
    """One account with its traits, metrics, milestones, health, the edges out of its stage, and what clears its flags."""

    traits: dict[str, Value]
    metrics: dict[str, Value]
    milestones: dict[str, datetime]
    health: HealthView
    next: list[EdgeView]
    clearing: list[ClearingView]


class NoteWanted(BaseModel):
    """What to write about an account."""

    model_config = ConfigDict(extra="forbid")
    text: Annotated[str, Field(min_length=1, max_length=5000, pattern="^[^\\x00]*$")]


class NoteView(BaseModel):
    """What somebody wrote about an account, by the wall clock. `author` is the name of the key that they used."""

    id: str
    at: datetime
    author: str
    text: str


class Portfolio(BaseModel):
    """All accounts, counted by stage, by health band and by flag: an account has one stage and one band, and any flags.

    Also by owner and by plan, the 500 most frequent of each; under the empty name stand those that have none.
    """

    accounts: int
    stages: dict[str, int]
    bands: dict[str, int]
    flags: dict[str, int]
    owners: dict[str, int]
    plans: dict[str, int]


class StageFigures(BaseModel):
    """One stage of the funnel. Days are medians; those still in the stage count as open.

    `median_days` is the Kaplan-Meier median of the time in stage, null while more than half of the visits last.
    """

    stage: str
    accounts: int
    entered: int
    left: int
    median_days: float | None
    median_days_so_far: float | None
    went_to: dict[str, int]


class Funnel(BaseModel):
    """The stages in the definition's order. `definition` is its version."""

    definition: str
    accounts: int
    stages: list[StageFigures]


class UnmatchedRow(BaseModel):
    """Tracked events of one name from one source that no event class matches. `account` is that of the latest one."""

    source: str
    event: str
    count: int
    account: str


class PlaceCountRow(BaseModel):
    """Values of one property of one event class (or `$group`, `identify`) from one source that count nowhere.

    `property` is empty where a whole event counts nowhere. `example` is the start of the latest one.
    """

    source: str
    event: str
    property: str
    count: int
    example: str


class MetricWords(BaseModel):
    """What people call a metric, and what its values are counted in (`%`: a share, of which 0.8 is 80%); empty for nothing."""

    label: str
    unit: str


class StageView(BaseModel):
    """A stage: what it is for, and whether accounts stay where they are in it."""

    stage: str
    goal: str
    terminal: bool


class EdgeWords(BaseModel):
    """One edge from a stage to another; `words` is what it asks for, as a person reads it."""

    source: str
    to: str
    rule: str
    words: str


class Diagram(BaseModel):
    """The state machine, as Mermaid text and as stages and edges, derived from the definition; with the words for its metrics."""

    definition: str
    mermaid: str
    stages: list[StageView]
    edges: list[EdgeWords]
    metrics: dict[str, MetricWords]


Decision = dict[str, Any]
"""A lifecycle message as published (shared/contracts/lifecycle.py): kind, at, evidence, snapshot."""
