"""Explanations: the definition as a diagram, what an account lacks for its next stage, where its health score comes from."""

from datetime import datetime
from typing import NamedTuple

import msgspec

from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.evaluation import Evaluation
from services.lifecycle.core.health import breakdown
from services.lifecycle.core.rules import EdgeRule, Test
from services.lifecycle.core.state import Account, latest_events
from shared.contracts.evidence import Clause, EventRef
from shared.contracts.lifecycle import Band, Snapshot
from shared.wording import Wording


class EdgeStanding(msgspec.Struct, frozen=True):
    """One edge out of the account's stage: its clauses as they are now, and the time that must still pass.

    `since` is when the conditions began to hold; `hold_days` and `dwell_days` are what the rule asks for,
    `days_in_stage` what the account has. `events` are the latest behind the clauses' metrics.
    """

    rule: str
    to: str
    holds: bool
    clauses: list[Clause]
    since: datetime | None
    hold_days: int
    dwell_days: int
    days_in_stage: float
    events: list[EventRef]


class ClearingStanding(msgspec.Struct, frozen=True):
    """What clears a flag that is raised, as things stand now; `since` is when its conditions began to hold."""

    flag: str
    holds: bool
    clauses: list[Clause]
    since: datetime | None
    hold_days: int


class HealthDetail(msgspec.Struct, frozen=True):
    """The score, and every measure and cap behind it."""

    band: Band
    score: float | None
    coverage: float
    clauses: list[Clause]


def diagram(compiled: CompiledDefinition) -> str:
    """The stage machine as Mermaid text, derived from the definition's edges."""
    lines = ["stateDiagram-v2", f"    [*] --> {compiled.first_stage}"]
    for stage in compiled.definition.stages:
        lines += [f"    {stage} --> {edge.to}: {_label(edge)}" for edge in compiled.edges_out_of(stage)]
        if stage in compiled.terminal:
            lines.append(f"    {stage} --> [*]")
    return "\n".join(lines) + "\n"


def standing(account: Account, compiled: CompiledDefinition) -> list[EdgeStanding]:
    """Every edge out of the account's stage, as things stand at its clock. Changes nothing."""
    evaluation = Evaluation(account, compiled.metrics, account.clock)
    return [_standing(evaluation, edge) for edge in compiled.edges_out_of(account.stage)]


def clearing(account: Account, compiled: CompiledDefinition) -> list[ClearingStanding]:
    """For each flag that is raised what clears it, at the account's clock. Changes nothing."""
    evaluation = Evaluation(account, compiled.metrics, account.clock)
    rules = ((each.name, each.clear_rule) for each in compiled.flags if each.name in account.flags)
    return [
        ClearingStanding(
            flag=flag,
            holds=rule.condition.holds(evaluation),
            clauses=rule.condition.clauses(evaluation),
            since=account.holding_since.get(rule.name),
            hold_days=rule.hold.days,
        )
        for flag, rule in rules
    ]


def health_detail(account: Account, compiled: CompiledDefinition) -> HealthDetail:
    """Where the score comes from, at the account's clock."""
    evaluation, health = Evaluation(account, compiled.metrics, account.clock), account.health
    clauses = list(breakdown(evaluation, compiled.health)) if compiled.health else []
    return HealthDetail(health.band, health.score, health.coverage, clauses)


def snapshot_of(account: Account, compiled: CompiledDefinition) -> Snapshot:
    """The account with every metric, at its clock: what a page shows and a definition test asks."""
    return Evaluation(account, compiled.metrics, account.clock).snapshot()


class Arrow(NamedTuple):
    """One edge of the stage machine: from a stage to another, by which rule and under which words."""

    source: str
    to: str
    rule: str
    words: str


def arrows(compiled: CompiledDefinition) -> list[Arrow]:
    """Every edge, in the order of the stages they lead out of."""
    wording = compiled.definition.wording
    return [
        Arrow(stage, edge.to, edge.rule.name, _asked(edge, wording))
        for stage in compiled.definition.stages
        for edge in compiled.edges_out_of(stage)
    ]


def _asked(edge: EdgeRule, wording: Wording) -> str:
    """What an edge asks for: all of what stands between semicolons."""
    groups = [" or ".join(_test_words(test, wording) for test in group) for group in edge.rule.condition.groups]
    times = [f"for {edge.rule.hold.days} days"] if edge.rule.hold else []
    times += [f"after {edge.min_dwell.days} days in the stage"] if edge.min_dwell else []
    return "; ".join([*groups, *times])


def _test_words(test: Test, wording: Wording) -> str:
    return wording.condition(f"not ({test.expr.text})" if test.negated else test.expr.text)


def _standing(evaluation: Evaluation, edge: EdgeRule) -> EdgeStanding:
    rule = edge.rule
    return EdgeStanding(
        rule=rule.name,
        to=edge.to,
        holds=rule.condition.holds(evaluation),
        clauses=rule.condition.clauses(evaluation),
        since=evaluation.account.holding_since.get(rule.name),
        hold_days=rule.hold.days,
        dwell_days=edge.min_dwell.days,
        days_in_stage=float(evaluation.day - evaluation.account.entered_at.toordinal()),
        events=latest_events(evaluation.account, rule.classes),
    )


def _label(edge: EdgeRule) -> str:
    """The edge's name where it has one of its own, and how long it must hold."""
    name = "" if "->" in edge.rule.name else edge.rule.name
    hold = f"held {edge.rule.hold.days} d" if edge.rule.hold else ""
    return ", ".join(filter(None, (name, hold))) or "at once"
