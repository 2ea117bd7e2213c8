"""What rules read is changed through `Evaluation.write` only: no change without the rules that read it being asked."""

import ast
from collections.abc import Collection, Iterator
from inspect import isfunction, signature
from pathlib import Path

import pytest

from services.lifecycle.core import evaluation
from shared.contracts.lifecycle import ContactChanged, FlagChanged, MilestoneReached
from tests.core.lifecycle.make import Scenario, definition_from

EVALUATION = Path(evaluation.__file__)
CORE = EVALUATION.parent
READ_BY_RULES = {
    *("stage", "entered_at", "flags", "milestones", "health", "first_seen", "score", "coverage", "band"),
    *("traits", "series", "active_members", "spans", "latest", "open_items"),
}
MUTATING = {"pop", "popitem", "clear", "update", "setdefault", "append", "insert", "remove", "extend", "__setitem__"}
CHANGES_OF_DECISIONS = {
    name
    for name, each in vars(evaluation).items()
    if isfunction(each) and each.__module__ == evaluation.__name__ and "account" in signature(each).parameters
}
CHANGES = {"set_trait", *CHANGES_OF_DECISIONS}
WRITERS = {*(CORE / "metrics").glob("*.py")}
"""The modules whose functions change what rules read, as those of `CHANGES_OF_DECISIONS` do: all go to `Evaluation.write`."""


def fields_in(target: ast.AST) -> Iterator[str]:
    """The fields on the way to what is changed, from the outside in: `account.flags[name]` is in `flags`."""
    while isinstance(target, ast.Attribute | ast.Subscript):
        if isinstance(target, ast.Attribute) and target.attr in READ_BY_RULES:
            yield target.attr
        target = target.value


def changed_in(source: str, allowed: Collection[str] = ()) -> Iterator[str]:
    """What a module changes by itself, outside the allowed functions, where only `Evaluation.write` should."""
    body = ast.parse(source).body
    checked = [each for each in body if not (isinstance(each, ast.FunctionDef) and each.name in allowed)]
    for node in ast.walk(ast.Module(checked, [])):
        if isinstance(node, ast.Assign | ast.Delete):
            yield from (field for target in node.targets for field in fields_in(target))
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            yield from fields_in(node.target)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATING:
            yield from fields_in(node.func.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CHANGES:
            yield f"{node.func.id}()"


@pytest.mark.parametrize("module", sorted(set(CORE.rglob("*.py")) - WRITERS), ids=lambda path: path.stem)
def test_no_module_changes_what_rules_read_by_itself(module: Path) -> None:
    allowed = CHANGES_OF_DECISIONS if module == EVALUATION else ()
    assert not list(changed_in(module.read_text("utf8"), allowed))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("evaluation.account.stage = 'over'", "stage"),
        ("account.flags['quiet'] = now", "flags"),
        ("account.health.score += 1", "score"),
        ("del account.milestones['first']", "milestones"),
        ("account.traits.setdefault('seats', value)", "traits"),
        ("forget_user(account, 'ann')", "forget_user()"),
        ("evaluation.write_one(FLAGS, raise_flag, 'quiet')", None),
    ],
)
def test_a_change_by_hand_is_found(line: str, found: str | None) -> None:
    assert next(changed_in(line), None) == found


DEFINITION = """
events:
  use: {match: [used]}
  removed: {match: [removed]}
metrics:
  users: {kind: active_users, of: use, days: 28}
milestones:
  somebody_left: {of: removed}
stages: {start: {}}
edges: []
flags:
  alone: {raise_when: [users == 1], clear_when: [users > 1], reason: "{users} user."}
removes_user: removed
"""


def used_by_two(tmp_path: Path) -> Scenario:
    scenario = Scenario(definition_from(tmp_path, DEFINITION))
    scenario.track(0, "used", "ann")
    scenario.track(0, "used", "bob")
    return scenario


def test_rules_that_read_users_are_asked_when_one_is_removed(tmp_path: Path) -> None:
    scenario = used_by_two(tmp_path)
    scenario.decisions.clear()
    scenario.track(0.9, "removed", "boss", user_id="bob")
    (raised,) = scenario.all(FlagChanged, flag="alone", raised=True)
    assert raised.snapshot.metrics["users"] == 1
    assert raised.evidence.clauses[0].values == {"users": 1.0}


def test_the_snapshot_published_with_the_removal_already_counts_without_the_removed(tmp_path: Path) -> None:
    scenario = used_by_two(tmp_path)
    scenario.track(0.9, "removed", "boss", user_id="bob")
    (reached,) = scenario.all(MilestoneReached, milestone="somebody_left")
    assert reached.snapshot.metrics["users"] == 1
    assert [one.user for one in scenario.all(ContactChanged, gone=True)] == ["bob"]


def test_removing_somebody_unknown_asks_no_rule(tmp_path: Path) -> None:
    scenario = used_by_two(tmp_path)
    before = len(scenario.all(FlagChanged))
    scenario.track(0.9, "removed", "boss", user_id="nobody")
    assert len(scenario.all(FlagChanged)) == before


def test_an_event_earlier_than_the_first_asks_the_rules_that_read_the_accounts_age(tmp_path: Path) -> None:
    text = DEFINITION.replace("users == 1", "tenure_days >= 30").replace("users > 1", "tenure_days < 30")
    scenario = Scenario(definition_from(tmp_path, text))
    scenario.track(40, "used")
    assert not scenario.all(FlagChanged)
    scenario.track(1, "other")
    assert len(scenario.all(FlagChanged, flag="alone", raised=True)) == 1
