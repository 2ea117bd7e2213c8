"""Definition: the schema of `config/lifecycle.yaml`."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import field

from services.lifecycle.core.metrics.table import Metric
from services.lifecycle.core.schema_types import Strict, When
from shared.wording import Worded, Wording

DESCRIPTIVE_TRAITS = (
    *("name", "description", "industry", "website", "domain", "avatar", "logo", "phone", "address"),
    *("city", "state", "country", "language", "locale", "timezone", "employees", "createdAt", "created_at"),
)
"""Traits of a group call that say who a company is, and not what it bought or how it is doing."""


class Feature(Strict, frozen=True):
    """Where the feature's name stands: in the event's name after a separator, else in a property, else the whole name."""

    after: str | None = None
    """The separator in the event's name: `:` reads `reports` from `feature_used:reports`."""
    property: str | None = None
    """The property that holds the feature's name."""


class EventClass(Strict, frozen=True):
    """A company's own event names, under the one name the rest of the file uses.

    `match` are event names or globs (`page:*` and `screen:*` match views by name). `where` is CEL over the
    event's properties. `sets` copies properties into account traits: `{seats: quantity}`. An event of a `trusted` class
    counts only when a server or an import told it: a browser's key is public, so anybody could.
    """

    match: list[str]
    """Event names, or globs such as `feature_used:*`."""
    where: str | None = None
    """CEL over the event's properties; the event counts only where it is true."""
    feature: Feature | None = None
    """Where the name of the feature stands; without it the event's name is the feature."""
    sets: dict[str, str] = field(default_factory=dict)
    """Account traits by the property that each is copied from."""
    trusted: bool | None = None
    """Whether a browser may not tell it. Unsaid, a class is trusted that is one of `facts`, or `removes_user`."""


class Milestone(Strict, frozen=True):
    """The first event of a class (`of`), or the first moment on which conditions hold (`when`).

    `required` may be a condition: `seats > 1` asks only accounts with colleagues to invite them.
    """

    of: str | None = None
    """The event class whose first event reaches it."""
    when: When = field(default_factory=list)
    """Conditions whose first moment reaches it."""
    required: bool | str = False
    """Whether it counts in `required_milestones_missing`: true, false, or a condition."""


class Stage(Strict, frozen=True):
    """A stage. In a terminal one the account's clock stands still: no ticks, no flags, no signals."""

    goal: str = ""
    """What the stage is for, in a sentence."""
    terminal: bool = False
    """Whether the account's clock stands still here."""


class Edge(Strict, frozen=True):
    """A transition from one stage (or some, or `*`: every one not terminal) to another. The first in the file that may fire does."""

    from_: str | list[str] = field(name="from")
    """The stage, the stages, or `*` for every stage that is not terminal."""
    to: str
    """The stage that it leads to."""
    when: When
    """Conditions that must all be certainly true."""
    reason: str
    """The sentence of the evidence; `{name}` is replaced by a metric's value."""
    unless: list[str] = field(default_factory=list)
    """Conditions of which none may be certainly true."""
    hold: str = "0d"
    """How long the conditions must hold before it fires."""
    min_dwell: str = "0d"
    """How long the account must have been in its stage."""
    name: str | None = None
    """The rule's name in evidence; by default `from->to`."""

    @property
    def rule_name(self) -> str:
        """The edge's name in evidence."""
        return self.name or f"{'|'.join(self._named_sources())}->{self.to}"

    def sources(self, stages: Mapping[str, Stage]) -> list[str]:
        """The stages it leads out of; `*` is every stage that is not terminal, but never its own target."""
        if self.from_ == "*":
            return [name for name, stage in stages.items() if not stage.terminal and name != self.to]
        return self._named_sources()

    def _named_sources(self) -> list[str]:
        return [self.from_] if isinstance(self.from_, str) else self.from_


class Flag(Strict, frozen=True):
    """A state beside the stage. It is raised and cleared by two conditions, apart, so that it does not flutter."""

    raise_when: When
    """Conditions that raise it."""
    clear_when: When
    """Conditions that clear it."""
    reason: str
    """The sentence of the evidence; `{name}` is replaced by a metric's value."""
    raise_unless: list[str] = field(default_factory=list)
    """Conditions of which none may be certainly true when it is raised."""
    clear_unless: list[str] = field(default_factory=list)
    """Conditions of which none may be certainly true when it is cleared."""
    hold: str = "0d"
    """How long `raise_when` must hold."""
    clear_hold: str = "0d"
    """How long `clear_when` must hold."""


class Signal(Strict, frozen=True):
    """An occurrence, announced once each time its conditions become true, and not again within `cooldown`."""

    RENAMED: ClassVar[Mapping[str, str]] = {"rest": "cooldown"}

    when: When
    """Conditions that must all be certainly true."""
    reason: str
    """The sentence of the evidence; `{name}` is replaced by a metric's value."""
    unless: list[str] = field(default_factory=list)
    """Conditions of which none may be certainly true."""
    hold: str = "0d"
    """How long the conditions must hold before it is announced."""
    cooldown: str = "0d"
    """How long until it may be announced again."""


class Measure(Strict, frozen=True):
    """Points (0 to 100) for a metric: those of the greatest bound it reaches. `{0: 0, 4: 60, 12: 100}`."""

    metric: str
    """The metric that gets points."""
    weight: float
    """Its share in the dimension."""
    points: dict[float, float]
    """Points by the lowest value that earns them: `{0: 0, 4: 60, 12: 100}`."""


class Dimension(Strict, frozen=True):
    """Measures of one kind. Missing ones give their weight to the others; `stale_when` makes all of them missing."""

    weight: float
    """Its share in the score."""
    measures: dict[str, Measure]
    """Its measures, by name."""
    stale_when: When = field(default_factory=list)
    """Conditions under which all of its measures count as missing."""


class Cap(Strict, frozen=True):
    """While these hold, the score is no better than `max`."""

    when: When
    """Conditions under which it binds."""
    max: float
    """The best score while it binds."""


class Health(Strict, frozen=True):
    """How the score comes about, once a day. Bands: green and yellow from these scores up, red below."""

    dimensions: dict[str, Dimension]
    """Dimensions by name."""
    caps: dict[str, Cap] = field(default_factory=dict)
    """Caps by name."""
    green: float = 75.0
    """The lowest green score."""
    yellow: float = 50.0
    """The lowest yellow score; below it is red."""
    hysteresis: float = 5.0
    """Points below a bound before the band falls."""
    evaluations: int = 3
    """Daily scores in a row in the new band before it is taken."""
    min_coverage: float = 0.5
    """The share of weight with data below which the score is unknown."""
    new_account: str = "30d"
    """How long a new account has no score."""


class Definition(Strict, frozen=True):
    """The whole file. The first stage listed is where an account begins."""

    events: dict[str, EventClass]
    """The company's event names under the names that the rest of the file uses."""
    metrics: dict[str, Metric]
    """Metrics by name; each has a `kind`."""
    milestones: dict[str, Milestone]
    """Milestones by name."""
    stages: dict[str, Stage]
    """Stages by name; an account begins in the first."""
    edges: list[Edge]
    """Transitions between stages, the first that may fire does."""
    flags: dict[str, Flag] = field(default_factory=dict)
    """Flags by name."""
    signals: dict[str, Signal] = field(default_factory=dict)
    """Signals by name."""
    health: Health | None = None
    """How the health score is computed; without it there is none."""
    facts: list[str] = field(default_factory=list)
    """Event classes that are passed on to notify and advocacy."""
    removes_user: str | None = None
    """The event class by which a user leaves the account."""
    browser_traits: list[str] | None = None
    """The account traits that a browser may tell while no server has. Unsaid, descriptive ones (name, industry, country ...) that no metric reads."""

    @property
    def wording(self) -> Wording:
        """The words for its metrics."""
        return Wording({name: Worded(metric.label, metric.unit) for name, metric in self.metrics.items()})

    def is_trusted(self, event_class: str) -> bool:
        """Whether a browser may not tell events of this class."""
        trusted = self.events[event_class].trusted
        return event_class in {*self.facts, self.removes_user} if trusted is None else trusted
