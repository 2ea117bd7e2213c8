"""Definition: the schema of `config/lifecycle.yaml`."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import field

from services.lifecycle.core.metrics.table import Metric
from services.lifecycle.core.schema_types import Strict, When


class Feature(Strict, frozen=True):
    """Where the feature's name stands: in the event's name after a separator, else in a property, else the whole name."""

    after: str | None = None
    property: str | None = None


class EventClass(Strict, frozen=True):
    """A company's own event names, under the one name the rest of the file uses.

    `match` are event names or globs (`page:*` and `screen:*` match views by name). `where` is CEL over the
    event's properties. `sets` copies properties into account traits: `{seats: quantity}`.
    """

    match: list[str]
    where: str | None = None
    feature: Feature | None = None
    sets: dict[str, str] = field(default_factory=dict)


class Milestone(Strict, frozen=True):
    """The first event of a class (`of`), or the first moment on which conditions hold (`when`).

    `required` may be a condition: `seats > 1` asks only accounts with colleagues to invite them.
    """

    of: str | None = None
    when: When = field(default_factory=list)
    required: bool | str = False


class Stage(Strict, frozen=True):
    """A stage. In a terminal one the account's clock stands still: no ticks, no flags, no signals."""

    goal: str = ""
    terminal: bool = False


class Edge(Strict, frozen=True):
    """A transition from one stage (or some, or `*`: every one not terminal) to another. The first in the file that may fire does."""

    from_: str | list[str] = field(name="from")
    to: str
    when: When
    reason: str
    unless: list[str] = field(default_factory=list)
    hold: str = "0d"
    min_dwell: str = "0d"
    name: str | None = None

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
    clear_when: When
    reason: str
    raise_unless: list[str] = field(default_factory=list)
    clear_unless: list[str] = field(default_factory=list)
    hold: str = "0d"
    clear_hold: str = "0d"


class Signal(Strict, frozen=True):
    """An occurrence, announced once each time its conditions become true, and not again within `cooldown`."""

    RENAMED: ClassVar[Mapping[str, str]] = {"rest": "cooldown"}

    when: When
    reason: str
    unless: list[str] = field(default_factory=list)
    hold: str = "0d"
    cooldown: str = "0d"


class Measure(Strict, frozen=True):
    """Points (0 to 100) for a metric: those of the greatest bound it reaches. `{0: 0, 4: 60, 12: 100}`."""

    metric: str
    weight: float
    points: dict[float, float]


class Dimension(Strict, frozen=True):
    """Measures of one kind. Missing ones give their weight to the others; `stale_when` makes all of them missing."""

    weight: float
    measures: dict[str, Measure]
    stale_when: When = field(default_factory=list)


class Cap(Strict, frozen=True):
    """While these hold, the score is no better than `max`."""

    when: When
    max: float


class Health(Strict, frozen=True):
    """How the score comes about, once a day. Bands: green and yellow from these scores up, red below."""

    dimensions: dict[str, Dimension]
    caps: dict[str, Cap] = field(default_factory=dict)
    green: float = 75.0
    yellow: float = 50.0
    hysteresis: float = 5.0
    evaluations: int = 3
    min_coverage: float = 0.5
    new_account: str = "30d"


class Definition(Strict, frozen=True):
    """The whole file. The first stage listed is where an account begins."""

    events: dict[str, EventClass]
    metrics: dict[str, Metric]
    milestones: dict[str, Milestone]
    stages: dict[str, Stage]
    edges: list[Edge]
    flags: dict[str, Flag] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)
    health: Health | None = None
    facts: list[str] = field(default_factory=list)
    removes_user: str | None = None
