"""Conditions and reasons as a person reads them: no CEL, no name with underscores, no None."""

import re

import pytest

from services.lifecycle.core.explain import arrows, standing
from shared.contracts.evidence import Clause
from shared.wording import Worded, Wording
from tests.core.lifecycle.make import Scenario, default_definition

DEFINITION = default_definition()
WORDING = Wording({"quiet": Worded("time since use", "days"), "in_use": Worded("seats in use", "%")})
CODE = re.compile(r"[_\"{}&|]|==|!=|>=|<=|\bNone\b|\bnull\b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("quiet >= 14", "time since use at least 14 days"),
        ("quiet <= 1", "time since use at most 1 day"),
        ("in_use < 0.8", "seats in use less than 80%"),
        ('stage == "value_realization"', "the stage is value realization"),
        ("first_use_reached == true", "first use reached"),
        ("first_use_reached != true", "not first use reached"),
        ("at_risk", "at risk"),
        ("not (quiet >= 14)", "time since use less than 14 days, or unknown"),
        ('not (band == "red")', "band is not red"),
        ("not (at_risk)", "not at risk"),
        ("not (first_use_reached == true)", "not first use reached"),
        ("not (quiet <= 7 && in_use >= 1)", "not: time since use at most 7 and seats in use at least 1"),
        ("quiet <= 7 && in_use >= 1", "time since use at most 7 and seats in use at least 1"),
    ],
)
def test_a_condition_reads_as_words(text: str, words: str):
    assert WORDING.condition(text) == words


def test_a_satisfied_condition_says_what_it_saw():
    assert WORDING.seen(Clause("quiet >= 14", {"quiet": 21.0}, True)) == "time since use is 21 days (14 days or more)"
    assert WORDING.seen(Clause('band == "red"', {"band": "red"}, True)) == "band is red"
    assert WORDING.seen(Clause("quiet > in_use", {"quiet": None}, True)) == (
        "time since use more than seats in use (time since use is unknown)"
    )


def test_what_did_not_stand_in_the_way_goes_without_saying():
    clauses = [Clause("not (quiet >= 14)", {"quiet": None}, True), Clause("in_use >= 0.5", {"in_use": 0.75}, True)]
    assert WORDING.why(clauses) == "seats in use is 75% (50% or more)"
    assert WORDING.why(clauses[:1]) == "not: time since use at least 14 days (time since use is unknown)"


def test_no_code_reaches_a_person_from_the_shipped_definition():
    scenario = Scenario(DEFINITION)
    scenario.group(0, name="Acme", seats=4, plan="Pro")
    scenario.use(range(3), "ann", "bob")
    scenario.track(3, "value_delivered")
    scenario.use(range(3, 90, 2), "ann", "bob", "cy", "dee")
    scenario.until(200)
    reasons = [why.reason for one in scenario.decisions if (why := getattr(one, "evidence", None)) is not None]
    assert len(reasons) > 10
    asked = [arrow.words for arrow in arrows(DEFINITION)]
    wording = DEFINITION.definition.wording
    shown = [wording.condition(each.text) for edge in standing(scenario.here, DEFINITION) for each in edge.clauses]
    for words in (*reasons, *asked, *shown, *map(wording.label, DEFINITION.metrics.reads)):
        assert words, "nothing is said"
        assert not CODE.search(words), words


def test_every_shipped_metric_has_a_label():
    assert [name for name, metric in DEFINITION.definition.metrics.items() if not metric.label] == []
