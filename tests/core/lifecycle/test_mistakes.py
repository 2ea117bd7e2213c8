"""A definition that is wrong is answered with where, what, and what was probably meant."""

from pathlib import Path

import pytest

from shared.definitions import DefinitionError
from tests.core.lifecycle.make import DEFAULT, default_definition, definition_from

SOUND = """\
events:
  use: {match: ["use:*"], feature: {after: ":"}}
  ended: {match: [ended]}
metrics:
  uses: {kind: count, of: use, days: 7}
  users: {kind: active_users, of: use, days: 28}
  share: {kind: formula, cel: users / uses}
  score: {kind: latest, of: ended, property: score, expires: 30d}
milestones:
  first_use: {of: use, required: true}
stages:
  start: {}
  good: {}
  over: {terminal: true}
edges:
  - from: start
    to: good
    when: [uses >= 3]
    hold: 7d
    reason: "Used {uses} times."
  - from: "*"
    to: over
    when: [score >= 1]
    reason: Over.
flags:
  quiet: {raise_when: [uses < 1], clear_when: [uses >= 1], reason: Quiet.}
signals:
  growth:
    when: [users >= 5]
    cooldown: 30d
    reason: Growth.
health:
  dimensions:
    usage:
      weight: 1
      measures:
        level: {metric: uses, weight: 1, points: {0: 0, 5: 100}}
  caps:
    low: {when: [quiet], max: 50}
facts: [ended]
"""

MISTAKES = [
    ("hold: 7d", "hold: 7 days", 19, "'7 days' is not a duration: whole days or weeks, as 7d or 2w", ""),
    ("cooldown: 30d", "rest: 30d", 30, "'rest' is now 'cooldown'", ""),
    ("cooldown: 30d", "cooldown: 12h", 30, "'12h' is not a duration", ""),
    ("expires: 30d", "expires: soon", 8, "'soon' is not a duration", ""),
    ("when: [uses >= 3]", "when: [usess >= 3]", 18, "unknown metric 'usess' in 'usess >= 3'", "uses"),
    ("when: [uses >= 3]", "when: [{any: [uses >= 3, usrs > 1]}]", 18, "unknown metric 'usrs'", "users"),
    ("when: [uses >= 3]", "when: []", 18, "no condition: it would always hold", ""),
    ("when: [uses >= 3]", "when: [{any: []}]", 18, "'any' of nothing never holds", ""),
    ("when: [uses >= 3]", "when: [uses >=]", 18, "'uses >=' is not an expression", ""),
    ("when: [uses >= 3]", "when: [now() > uses]", 18, "'now() > uses' is unknown function 'now'", ""),
    ("when: [uses >= 3]", "when: [uses >= 3]\n    unless: [quiett]", 19, "unknown metric 'quiett'", "quiet"),
    ("  - from: start", "  - from: strat", 16, "unknown stage 'strat'", "start"),
    ("    to: good", "    to: god", 17, "unknown stage 'god'", "good"),
    ("    to: good", "    to: start", 17, "the edge leads from 'start' to itself", ""),
    ("  good: {}", "  good: {}\n  lost: {}", 14, "no edges lead to stage 'lost' from the first one", ""),
    ("  - from: start", "  - from: over", 19, "time stands still in 'over': an edge out of it cannot wait", ""),
    ('from: "*"\n    to: over', "from: start\n    to: good", 16, "2 edges are called 'start->good'", ""),
    ("    hold: 7d", "    hold: 7d\n    name: growth", 16, "edge and signal are both called 'growth'", ""),
    ('"Used {uses} times."', '"Used {used} times."', 20, "unknown metric 'used' in the reason", "uses"),
    ('"Used {uses} times."', '"Used {uses times."', 20, "not a template", ""),
    ('"Used {uses} times."', '"Used {uses:.0q} times."', 20, "not a template", ""),
    ("of: use, days: 7", "of: uze, days: 7", 5, "unknown event class 'uze'", "use"),
    ("of: use, days: 7", "of: use, days: 0", 5, "a window of 0 days: from 1 to 366", ""),
    ("of: use, days: 28", "of: use, days: 90", 6, "a window of 90 days: from 1 to 64", ""),
    ("kind: count, of: use", "kind: features, of: ended", 5, "event class 'ended' does not say where its feature", ""),
    ("cel: users / uses", "cel: users / share", 7, "metrics need each other in a circle: share -> share", ""),
    ("required: true", "required: share2 > 1", 10, "unknown metric 'share2' in 'share2 > 1'", "share"),
    ("cel: users / uses", "cel: users + required_milestones_missing", 0, "", ""),
    ("first_use: {of: use,", "first_use: {", 10, "milestone 'first_use' needs either 'of' or 'when'", ""),
    ("first_use: {of: use,", "first_use: {of: us,", 10, "unknown event class 'us'", "use"),
    (
        "  uses: {",
        "  stage: {kind: count, of: use, days: 7}\n  uses: {",
        5,
        "metric 'stage' has the name of something",
        "",
    ),
    (
        "  users: {",
        "  good-users: {kind: count, of: use, days: 7}\n  users: {",
        6,
        "'good-users' cannot stand in a",
        "",
    ),
    ("match: [ended]", "match: []", 3, "event class 'ended' matches nothing", ""),
    ("match: [ended]", "match: [ended], where: a >", 3, "'a >' is not an expression", ""),
    ("facts: [ended]", "facts: [endet]", 40, "unknown event class 'endet'", "ended"),
    ("facts: [ended]", "removes_user: gone", 40, "unknown event class 'gone'", ""),
    ("      weight: 1", "      weight: 0", 35, "weight 0 is not positive", ""),
    ("uses, weight: 1", "uses, weight: -2", 37, "weight -2 is not positive", ""),
    ("metric: uses", "metric: use", 37, "unknown metric 'use'", "uses"),
    ("5: 100", "5: 101", 37, "points lie between 0 and 100", ""),
    ("max: 50", "max: 500", 39, "a cap lies between 0 and 100", ""),
    ("when: [quiet], max", "when: [quite], max", 39, "unknown metric 'quite' in 'quite'", "quiet"),
    ("  dimensions:", "  green: 40\n  dimensions:", 33, "bands must be 0 < yellow < green <= 100", ""),
    ("  dimensions:", "  new_account: month\n  dimensions:", 33, "'month' is not a duration", ""),
    ("    hold: 7d", "    holds: 7d", 19, "unknown key 'holds'", "hold"),
    (
        "kind: active_users",
        "kind: active_user",
        6,
        "unknown kind 'active_user' (there are: active_days, ",
        "active_users",
    ),
    ("clear_when: [uses >= 1], ", "", 26, "'clear_when' is missing", ""),
    ("when: [uses >= 3]", "when: ['stage == \"godd\"']", 18, "stage is never 'godd'", "good"),
    ("when: [uses >= 3]", "when: ['uses > 3 && stage != \"godd\"']", 18, "stage is never 'godd'", "good"),
    ("when: [uses >= 3]", "when: ['!(stage == \"godd\")']", 18, "stage is never 'godd'", "good"),
    (
        "when: [uses >= 3]",
        "when: ['health_band == \"rot\"']",
        18,
        "is never 'rot' (there are: green, red, unknown,",
        "",
    ),
    ("when: [uses >= 3]", "when: [stage > 3]", 18, "'stage > 3' never holds: stage is a word (good, over, start)", ""),
    ("when: [uses >= 3]", "when: ['stage >= \"good\"']", 18, "the words of stage have no order", ""),
    ("when: [uses >= 3]", "when: ['uses == \"3\"']", 18, "never holds: uses is a number", ""),
    ("when: [uses >= 3]", "when: [uses == true]", 18, "never holds: uses is a number", ""),
    ("when: [uses >= 3]", "when: [quiet == 1]", 18, "'quiet == 1' never holds: quiet is true or false", ""),
    ("when: [uses >= 3]", "when: [first_use_reached > 0]", 18, "first_use_reached is true or false", ""),
    ("when: [uses >= 3]", "when: [uses >= 5, uses < 3]", 18, "these conditions never hold together", ""),
    ("when: [uses >= 3]", "when: [uses < 0]", 18, "these conditions never hold together", ""),
    ("when: [uses >= 3]", "when: [health_score > 100]", 18, "these conditions never hold together", ""),
    ("when: [uses >= 3]", "when: [quiet, quiet == false]", 18, "these conditions never hold together", ""),
    ("when: [uses >= 3]", "when: [uses >= 5, {any: [uses < 3, uses == 4]}]", 18, "never hold together", ""),
    ("when: [uses >= 3]", "when: [uses >= 5]\n    unless: [uses > 2]", 18, "never hold together", ""),
    ("when: [users >= 5]", "when: [users > 5, users < 6]", 29, "never hold together", ""),
    ("when: [users >= 5]", "when: [share > 5, share < 5.1, users > 4, users < 6]", 0, "", ""),
    ("when: [users >= 5]", "when: ['share > 5 || users > 3', users < 2]", 0, "", ""),
    ("raise_when: [uses < 1]", "raise_when: [uses < 1, uses > 1]", 26, "never hold together", ""),
    (
        "clear_when: [uses >= 1]",
        "clear_when: [uses < 1]",
        26,
        "'quiet' would be raised and cleared at the same values of uses: leave a gap",
        "",
    ),
    ("clear_when: [uses >= 1]", "clear_when: [uses < 2]", 26, "raised and cleared at the same values of uses", ""),
    ("metric: uses, weight", "metric: stage, weight", 37, "points need a number, and stage is none", ""),
    ("metric: uses, weight", "metric: quiet, weight", 37, "points need a number, and quiet is none", ""),
]


@pytest.mark.parametrize(("good", "bad", "line", "problem", "meant"), MISTAKES)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, good: str, bad: str, line: int, problem: str, meant: str):
    assert SOUND.count(good) == 1
    if not problem:
        definition_from(tmp_path, SOUND.replace(good, bad))
        return
    with pytest.raises(DefinitionError) as caught:
        definition_from(tmp_path, SOUND.replace(good, bad))
    told = [(one.line, one.meant) for one in caught.value.mistakes if problem in one.problem]
    assert told[:1] == [(line, meant)], str(caught.value)


BACK = """    reason: "Used {uses} times."
  - from: good
    to: start
    when: [CONDITION]
    reason: Less.
"""


@pytest.mark.parametrize(
    ("condition", "more", "undone"),
    [
        ("uses < 5", "", "it undoes 'start->good' at the same values of uses: leave a gap, or a 'hold'"),
        ("uses < 3", "", ""),
        ("uses < 3.5", "", "it undoes"),
        ("uses < 5", "    hold: 1d\n", ""),
        ("uses < 5", "    min_dwell: 1w\n", ""),
        ("uses < 5, days_in_stage > 3", "", ""),
        ("uses < 5", "    unless: [uses >= 3]\n", ""),
        ("{any: [uses < 2, uses == 4]}", "", "it undoes"),
        ("users < 5", "", ""),  # of other metrics nobody can tell
    ],
)
def test_two_edges_that_undo_each_other_need_a_gap_or_time(tmp_path: Path, condition: str, more: str, undone: str):
    text = SOUND.replace("    hold: 7d\n", "").replace(
        '    reason: "Used {uses} times."\n', BACK.replace("CONDITION", condition) + more
    )
    if not undone:
        definition_from(tmp_path, text)
        return
    with pytest.raises(DefinitionError) as caught:
        definition_from(tmp_path, text)
    (mistake,) = caught.value.mistakes
    assert undone in mistake.problem
    assert mistake.line == 22


def test_a_rule_of_too_many_ways_to_look_at_is_taken_as_it_is(tmp_path: Path):
    ways = ", ".join(["{any: [uses < 1, uses < 1, uses < 1, uses < 1, users > 2]}"] * 5)
    definition_from(tmp_path, SOUND.replace("when: [uses >= 3]", f"when: [uses >= 3, {ways}]"))


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path):
    text = (
        SOUND.replace("of: use, days: 7", "of: uze, days: 7")
        .replace("hold: 7d", "hold: x")
        .replace("max: 50", "max: -1")
    )
    with pytest.raises(DefinitionError) as caught:
        definition_from(tmp_path, text)
    assert [one.line for one in caught.value.mistakes] == [5, 19, 39]


def test_a_circle_through_several_metrics_and_milestones_is_found_once(tmp_path: Path):
    text = SOUND.replace("cel: users / uses", "cel: other + 1}\n  other: {kind: formula, cel: share * 2")
    with pytest.raises(DefinitionError) as caught:
        definition_from(tmp_path, text)
    (mistake,) = caught.value.mistakes
    assert mistake.problem == "metrics need each other in a circle: other -> share -> other"
    text = SOUND.replace("cel: users / uses", "cel: required_milestones_missing").replace(
        "required: true", "required: share > 1"
    )
    with pytest.raises(DefinitionError, match="circle"):
        definition_from(tmp_path, text)


def test_a_sound_definition_and_the_shipped_one_have_no_mistakes(tmp_path: Path):
    assert definition_from(tmp_path, SOUND).first_stage == "start"
    assert default_definition().definition.stages


def test_the_version_changes_with_the_file(tmp_path: Path):
    assert definition_from(tmp_path, SOUND).version != definition_from(tmp_path, SOUND + "# a word\n").version
    assert DEFAULT.exists()
