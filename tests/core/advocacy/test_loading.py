"""A mistake in a definition has its line, and a suggestion where there is one."""

from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from services.advocacy.core.definitions import Definitions, Vocabulary
from services.advocacy.core.survey_kinds import SURVEY_KINDS
from services.advocacy.loading import load_definitions
from shared.definitions import DefinitionError
from tests.core.advocacy.make import CONFIG, LOADED, SHIPPED

NPS = """\
name: nps
kind: nps
question: How likely are you to recommend us?
play: nps_invite
on:
  - stage: retention
"""
REWARDS = "rewards: {currency: EUR, referrer: 1, referred: 1}\n"
LIFECYCLE = Vocabulary(("retention", "advocacy"), ("renewal_120", "advocate_candidate"))


def loaded(folder: Path, survey: str = NPS, referrals: str = REWARDS, name: str = "nps.yaml") -> Definitions:
    (folder / "surveys").mkdir()
    (folder / "surveys" / name).write_text(survey)
    (folder / "referrals.yaml").write_text(referrals)
    return load_definitions(folder / "surveys", folder / "referrals.yaml", SURVEY_KINDS, LIFECYCLE)


def test_the_shipped_definitions_fit_the_shipped_lifecycle():
    lifecycle = yaml.safe_load((CONFIG / "lifecycle.yaml").read_text())
    known = Vocabulary(lifecycle["stages"], lifecycle["signals"])
    assert load_definitions(CONFIG / "surveys", CONFIG / "referrals.yaml", SURVEY_KINDS, known) == LOADED
    assert SHIPPED.referrals.ask.urgent_metric in lifecycle["metrics"]


def test_a_survey_needs_little_and_has_a_version(tmp_path: Path):
    definitions = loaded(tmp_path)
    survey = definitions.survey("nps")
    assert survey
    assert (survey.open, survey.cooldown.same_survey, survey.cooldown.any_survey) == tuple(
        timedelta(days=number) for number in (14, 90, 30)
    )
    assert len(definitions.versions["nps"]) == len(definitions.versions["referrals"]) == 12


@pytest.mark.parametrize(
    ("before", "after", "mistake"),
    [
        ("kind: nps", "kind: npss", "nps.yaml:2: no kind of survey 'npss'; did you mean 'nps'?"),
        ("name: nps", "name: other", "nps.yaml:1: survey 'other' stands in a file of another name"),
        (
            "stage: retention",
            "stage: retenton",
            "nps.yaml:6: lifecycle has no stage 'retenton'; did you mean 'retention'?",
        ),
        ("play:", "plays:", "nps.yaml:4: unknown key 'plays'; did you mean 'play'?"),
        (
            "- stage:",
            "- {}\n  - stage:",
            "nps.yaml:6: a trigger names exactly one of stage, flag, signal, milestone, tenure, every",
        ),
        ("- stage:", "- signal: renewal_120\n    stage:", "nps.yaml:6: a trigger names exactly one of"),
        (
            "- stage: retention",
            "- signal: renewal_12\n    from: advocacy",
            "nps.yaml:7: only a stage is entered from another one",
        ),
        ("play:", "never_in: [retention]\nplay:", "nps.yaml:7: 'retention' starts the survey and is never surveyed"),
        ("play:", "open: 91d\nplay:", "nps.yaml:4: a person could have this survey open twice"),
        ("\non:", "\non:\n  - stage: retention", "nps.yaml:7: this trigger stands here twice"),
        ("\non:", "\non:\n  - tenure: 0d", "nps.yaml:6: '0d' is not between 1 minute and 3650 days"),
        ("\non:", "\non:\n  - every: 60d", "nps.yaml:6: nobody is asked that often: cooldown.same_survey is 90 days"),
        ("\non:", "\non:\n  - every: 1d", "nps.yaml:6: '1d' is not between 7 days and 3650 days"),
        ("\non:", "\naudience: {roles: [Admin]}\non:", "nps.yaml:5: this should be text of the form "),
    ],
)
def test_a_mistake_in_a_survey_has_its_line(tmp_path: Path, before: str, after: str, mistake: str):
    with pytest.raises(DefinitionError) as error:
        loaded(tmp_path, NPS.replace(before, after, 1))
    assert mistake.replace("`", "'") in str(error.value).replace("`", "'")


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ("attribution: {within: 7d}", "referrals.yaml:2: '7d' is not between 30 days and 90 days"),
        ("ask: {open: 14}", "referrals.yaml:2: '14' is not a duration: write 30m, 12h, 90d or 2w"),
        ("ask: {stage: advocay}", "referrals.yaml:2: lifecycle has no stage 'advocay'; did you mean 'advocacy'?"),
        ("ask: {exit_score: 90}", "referrals.yaml:2: an account would be asked and dropped at the same score"),
        ("ask: {wait: 91d}", "referrals.yaml:2: nobody would be a candidate any more by then"),
        ("ask: {cooldown: 7d}", "referrals.yaml:2: two asks could be open at once"),
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


@pytest.mark.parametrize(
    ("survey", "referrals", "mistakes"),
    [
        (
            NPS.replace("on:", "triggers:") + "rest: {same_survey_days: 9}\nopen_days: 14\n",
            REWARDS,
            ["nps.yaml:5: 'triggers' is now 'on'", "nps.yaml:7: 'rest' is now 'cooldown'", "'open_days' is now 'open'"],
        ),
        (
            NPS.replace("- stage: retention", "- on: tenure\n    day: 60") + "cooldown: {any_survey_days: 30}\n",
            REWARDS,
            [
                "nps.yaml:6: 'on' is now 'a key of its own",
                "nps.yaml:7: 'day' is now 'tenure'",
                "nps.yaml:8: 'any_survey_d",
            ],
        ),
        (
            NPS,
            "ask: {rest_days: 90, open_days: 9}\nattribution: {days: 60}\nrewards: {hold_days: 30}\n",
            [
                "1: 'rest_days' is now 'cooldown'",
                "'open_days' is now 'open'",
                "2: 'days' is now 'within'",
                "3: 'hold_days'",
            ],
        ),
    ],
)
def test_a_renamed_key_is_named_with_its_new_name_and_its_line(
    tmp_path: Path, survey: str, referrals: str, mistakes: list[str]
):
    with pytest.raises(DefinitionError) as error:
        loaded(tmp_path, survey, referrals)
    assert [mistake for mistake in mistakes if mistake not in str(error.value)] == []
