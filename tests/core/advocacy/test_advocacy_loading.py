"""Does a mistake in a definition say where it is and what was meant?"""

from pathlib import Path

import pytest
import yaml
from advocacy_making import CONFIG, SHIPPED

from services.advocacy.core.definitions import Definitions
from services.advocacy.core.loading import Vocabulary, load_definitions
from services.advocacy.surveys import KINDS
from shared.definitions import DefinitionError

NPS = """\
name: nps
kind: nps
question: How likely are you to recommend us?
play: nps_invite
triggers:
  - on: stage
    stage: retention
"""
REWARDS = "rewards: {currency: EUR, referrer: 1, referred: 1}\n"
LIFECYCLE = Vocabulary(("retention", "advocacy"), ("renewal_120", "advocate_candidate"))


def loaded(folder: Path, survey: str = NPS, referrals: str = REWARDS, name: str = "nps.yaml") -> Definitions:
    (folder / "surveys").mkdir()
    (folder / "surveys" / name).write_text(survey)
    (folder / "referrals.yaml").write_text(referrals)
    return load_definitions(folder / "surveys", folder / "referrals.yaml", KINDS, LIFECYCLE)


def test_the_shipped_definitions_fit_the_shipped_lifecycle():
    lifecycle = yaml.safe_load((CONFIG / "lifecycle.yaml").read_text())
    known = Vocabulary(lifecycle["stages"], lifecycle["signals"])
    assert load_definitions(CONFIG / "surveys", CONFIG / "referrals.yaml", KINDS, known) == SHIPPED
    assert SHIPPED.referrals.ask.urgent_metric in lifecycle["metrics"]


def test_a_survey_needs_little_and_has_a_version(tmp_path: Path):
    definitions = loaded(tmp_path)
    survey = definitions.survey("nps")
    assert survey
    assert (survey.open_days, survey.rest.same_survey_days, survey.rest.any_survey_days) == (14, 90, 30)
    assert len(definitions.versions["nps"]) == len(definitions.versions["referrals"]) == 12


@pytest.mark.parametrize(
    ("before", "after", "mistake"),
    [
        ("kind: nps", "kind: npss", "nps.yaml:2: no kind of survey 'npss'; did you mean 'nps'?"),
        ("name: nps", "name: other", "nps.yaml:1: survey 'other' stands in a file of another name"),
        (
            "stage: retention",
            "stage: retenton",
            "nps.yaml:7: lifecycle has no stage 'retenton'; did you mean 'retention'?",
        ),
        ("play:", "plays:", "nps.yaml:4: unknown key 'plays'; did you mean 'play'?"),
        ("on: stage", "on: stages", "nps.yaml:6: Invalid value 'stages'"),
        ("play:", "never_in: [retention]\nplay:", "nps.yaml:7: 'retention' starts the survey and is never surveyed"),
        ("play:", "open_days: 91\nplay:", "nps.yaml:4: a person could have this survey open twice"),
        ("triggers:", "triggers:\n  - on: stage\n    stage: retention", "nps.yaml:8: this trigger stands here twice"),
        ("triggers:", "triggers:\n  - on: tenure\n    day: 0", "nps.yaml:7: Expected `int` >= 1"),
        ("triggers:", "audience: {roles: [Admin]}\ntriggers:", "nps.yaml:5: Expected `str` matching regex"),
    ],
)
def test_a_mistake_in_a_survey_has_its_line(tmp_path: Path, before: str, after: str, mistake: str):
    with pytest.raises(DefinitionError) as error:
        loaded(tmp_path, NPS.replace(before, after, 1))
    assert mistake.replace("`", "'") in str(error.value).replace("`", "'")


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ("attribution: {days: 7}", "referrals.yaml:2: Expected `int` >= 30"),
        ("ask: {stage: advocay}", "referrals.yaml:2: lifecycle has no stage 'advocay'; did you mean 'advocacy'?"),
        ("ask: {exit_score: 90}", "referrals.yaml:2: an account would be asked and dropped at the same score"),
        ("ask: {rest_days: 7}", "referrals.yaml:2: two asks could be open at once"),
        ("facts: {paid: referred_signup}", "referrals.yaml:2: one event cannot tell two things"),
        ("free_mail: [GMail.com]", "referrals.yaml:2: 'GMail.com' is not a domain in lower case"),
    ],
)
def test_a_mistake_in_the_referral_rules_has_its_line(tmp_path: Path, more: str, mistake: str):
    with pytest.raises(DefinitionError) as error:
        loaded(tmp_path, referrals=REWARDS + more)
    assert mistake.replace("`", "'") in str(error.value).replace("`", "'")


def test_every_mistake_of_every_file_is_told_at_once(tmp_path: Path):
    with pytest.raises(DefinitionError) as error:
        loaded(tmp_path, NPS.replace("kind: nps", "kind: x"), "rewards: {currency: Euro, referrer: 1, referred: 1}")
    assert len(error.value.mistakes) == 2


def test_the_versions_of_a_rule_move_with_its_file(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = loaded(tmp_path / "a"), loaded(tmp_path / "b", NPS + "# changed\n")
    assert one.versions["nps"] != two.versions["nps"]
    assert one.versions["referrals"] == two.versions["referrals"]
