"""A metric kind is one class and its line in the table, and a built-in metric's name stands once."""

from pathlib import Path
from typing import get_args

import pytest

from services.lifecycle.core.metrics.kind import MetricKind
from services.lifecycle.core.metrics.table import KINDS, demand_lines
from shared.contracts.lifecycle import SNAPSHOT_METRICS, BuiltInMetric
from tests.core.lifecycle.make import Scenario, default_definition, definition_from
from tests.docs.following import copied, tried

BARE = """
events: {use: {match: [used]}}
metrics: {}
milestones: {}
stages: {start: {}}
edges: []
"""
FORGOTTEN = """
from services.lifecycle.core.metrics.kind import MetricKind

class Largest(MetricKind, frozen=True, tag="largest"):
    of: str
"""


@pytest.mark.parametrize("forgotten", KINDS, ids=lambda kind: kind.__name__)
def test_a_kind_without_its_line_in_the_table_is_refused_at_import(forgotten: type[MetricKind]) -> None:
    with pytest.raises(TypeError, match=forgotten.__name__):
        demand_lines(tuple(kind for kind in KINDS if kind is not forgotten))


def test_a_kind_whose_file_nothing_imports_is_refused_at_import_of_the_table(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "services/lifecycle/core/metrics/extremes.py").write_text(FORGOTTEN, "utf8")

    code, said = tried("import services.lifecycle.core.metrics.table", folder)

    assert code != 0
    assert "metric kinds without a line in Metric: Largest" in said


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_says_what_it_is_checks_itself_and_compiles(kind: type[MetricKind]) -> None:
    assert kind.__doc__
    assert {"check", "compile"} <= vars(kind).keys()


def test_every_built_in_metric_can_be_read_of_an_account_without_a_declaration(tmp_path: Path) -> None:
    scenario = Scenario(definition_from(tmp_path, BARE))
    scenario.track(0, "used")
    index = scenario.compiled.metrics
    assert set(index.reads) == set(get_args(BuiltInMetric))
    assert index.in_snapshot == SNAPSHOT_METRICS
    for name in get_args(BuiltInMetric):
        index.reads[name]
    assert scenario.metric("required_milestones_missing") == 0


def test_the_shipped_snapshot_carries_the_built_in_metrics_beside_the_declared() -> None:
    compiled = default_definition()
    assert set(compiled.metrics.in_snapshot) == {*compiled.definition.metrics, *SNAPSHOT_METRICS}
