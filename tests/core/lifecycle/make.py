"""Builder for tests of lifecycle's core: one account, days that pass, events on them, and the decisions."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from services.lifecycle.core.compiled_definition import CompiledDefinition, compile_definition
from services.lifecycle.core.definition import Definition
from services.lifecycle.core.explain import snapshot_of
from services.lifecycle.core.fold import advance, fold
from services.lifecycle.core.state import Account, begin
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import LifecycleMessage
from shared.contracts.usage import UsageEvent
from shared.definitions import load
from tests.make import usage_event

DEFAULT = Path(__file__).parents[3] / "config/lifecycle.yaml"
START = datetime(2026, 3, 2, tzinfo=UTC)
DECIDED = datetime(2027, 1, 1, tzinfo=UTC)
M = TypeVar("M")


def default_definition() -> CompiledDefinition:
    return compile_definition(load(DEFAULT, Definition))


def definition_from(folder: Path, text: str) -> CompiledDefinition:
    file = folder / "lifecycle.yaml"
    file.write_text(text)
    return compile_definition(load(file, Definition))


def event(name: str, at: datetime, number: int = 0, **more: Any) -> UsageEvent:
    return usage_event(more.pop("id", f"e{number}"), name=name, at=at, **more)


class Scenario:
    """One account. Day 0 is START; events happen at noon unless told otherwise."""

    def __init__(self, compiled: CompiledDefinition) -> None:
        self.compiled = compiled
        self.account: Account | None = None
        self.decisions: list[LifecycleMessage] = []
        self.number = 0

    def fold(self, one: UsageEvent) -> list[LifecycleMessage]:
        self.account = self.account or begin(one.account, one.at)
        decided = fold(self.account, one, self.compiled, DECIDED)
        self.decisions += decided
        return decided

    def track(self, day: float, name: str, user: str | None = "ann", **properties: Any) -> list[LifecycleMessage]:
        return self.send(day, name, user=user, properties=properties)

    def group(self, day: float, **traits: Any) -> list[LifecycleMessage]:
        return self.send(day, "", type="group", properties=traits)

    def identify(self, day: float, user: str, **traits: Any) -> list[LifecycleMessage]:
        return self.send(day, "", type="identify", user=user, properties=traits)

    def use(self, days: range, *users: str, name: str = "feature_used:report") -> None:
        """Core use at noon of each of these days by each of these users."""
        for day in days:
            for user in users or ("ann",):
                self.track(day, name, user)

    def until(self, day: float) -> list[LifecycleMessage]:
        decided = advance(self.here, START + timedelta(days=day), self.compiled, DECIDED)
        self.decisions += decided
        return decided

    @property
    def here(self) -> Account:
        assert self.account is not None, "no event yet"
        return self.account

    def metric(self, name: str) -> Value:
        return snapshot_of(self.here, self.compiled).metrics[name]

    def all(self, kind: type[M], **fields: Any) -> list[M]:
        """What was told of this kind, with these fields."""
        of = [one for one in self.decisions if isinstance(one, kind)]
        return [one for one in of if all(getattr(one, name) == value for name, value in fields.items())]

    def send(self, day: float, name: str, **more: Any) -> list[LifecycleMessage]:
        self.number += 1
        whole = day == int(day)
        at = START + timedelta(days=day, hours=12 if whole else 0)
        return self.fold(event(name, at, self.number, **more))
