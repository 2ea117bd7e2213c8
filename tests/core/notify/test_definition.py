"""Definition of plays, budget and templates: every mistake is found with its line."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from services.notify.channels.table import CHANNELS
from services.notify.definition import Definition, lifecycle_names, load_plays
from shared.definitions import DefinitionError

CONFIG = Path(__file__).parents[3] / "config"
STAGES = ("onboarding", "adoption", "value_realization", "expansion", "retention", "advocacy", "churned")


@pytest.fixture(scope="module")
def shipped() -> Definition:
    return load_plays(CONFIG, CHANNELS.traits, lifecycle_names(CONFIG / "lifecycle.yaml"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The shipped files with one play only, to break."""
    shutil.copytree(CONFIG / "templates", tmp_path / "templates")
    shutil.copy(CONFIG / "budget.yaml", tmp_path)
    shutil.copy(CONFIG / "brand.yaml", tmp_path)
    (tmp_path / "plays").mkdir()
    shutil.copy(CONFIG / "plays/welcome.yaml", tmp_path / "plays")
    return tmp_path


def mistakes(config: Path) -> list[str]:
    with pytest.raises(DefinitionError) as error:
        load_plays(config, CHANNELS.traits, lifecycle_names(CONFIG / "lifecycle.yaml"))
    return [str(mistake).removeprefix(f"{config}/") for mistake in error.value.mistakes]


def test_the_shipped_plays_are_right_for_the_shipped_lifecycle(shipped: Definition):
    assert len(shipped.playbook.plays) >= 20


def test_every_stage_has_a_play(shipped: Definition):
    covered = {stage for play in shipped.playbook.plays.values() for stage in play.stages}
    assert covered == set(STAGES)


def test_the_plays_that_advocacy_asks_for_are_there(shipped: Definition):
    surveys = [yaml.safe_load(file.read_text("utf8"))["play"] for file in (CONFIG / "surveys").glob("*.yaml")]
    for name in [*surveys, "referral_invite"]:
        assert shipped.playbook.plays[name].on is None, name


def test_every_template_is_used(shipped: Definition):
    used = {step.template for play in shipped.playbook.plays.values() for step in play.steps} | {"footer"}
    assert used == {file.name.removesuffix(".md.j2") for file in (CONFIG / "templates").glob("*.md.j2")}


def test_plays_load_without_a_lifecycle_definition_at_hand():
    assert "at_risk" in load_plays(CONFIG, CHANNELS.traits).playbook.flags


def test_a_change_of_any_file_is_another_version(config: Path):
    before = load_plays(config, CHANNELS.traits).playbook.version
    (config / "templates/welcome_hello.md.j2").write_text("Subject: Hi\n\nHi\n", "utf8")
    assert load_plays(config, CHANNELS.traits).playbook.version != before


BROKEN = {
    "class: onboarding": ("class: onbording", "welcome.yaml:3: Invalid enum value 'onbording'"),
    "cooldown: never": ("coldown: never", "welcome.yaml:6: unknown key 'coldown'; did you mean 'cooldown'?"),
    "stages: [onboarding]": ("stages: [onbording]", "no stage 'onbording' in the lifecycle definition; did you mean 'onboarding'?"),
    "on: {stage: onboarding}": ("on: {signal: usage_dropp}", "welcome.yaml:5: no signal 'usage_dropp' in the lifecycle definition; did you mean 'usage_drop'?"),
    "  - milestone: first_value": ("  - milestone: first_valu", "welcome.yaml:10: no milestone 'first_valu'"),
    "after: 2d": ("after: two days", "welcome.yaml:13: 'two days' is not a duration"),
    "template: welcome_first_use": ("template: welcome_frist_use", "no template 'welcome_frist_use'; did you mean 'welcome_first_use'?"),
    "unless: [first_use_reached]": ("unless: [first_use_reachd]", "welcome.yaml:13: unknown name 'first_use_reachd'; did you mean 'first_use_reached'?"),
    "unless: [invited_team_reached]": ('unless: ["seats >"]', "welcome.yaml:14: not an expression"),
    "  - stage: left": ("  - {stage: left, milestone: first_use}", "welcome.yaml:9: name exactly one end"),
    "name: welcome": ("name: Welcome!", "'Welcome!' is not readable"),
    "channel: task": ("channel: pigeon", "welcome.yaml:16: Invalid enum value 'pigeon'"),
    "expires: 5d": ("expires: 0d", "welcome.yaml:12: a step that expires at once is never sent"),
    "max_recipients: 1}": ("max_recipients: 0}", "welcome.yaml:7: at least one person"),
}  # fmt: skip


@pytest.mark.parametrize("right", BROKEN)
def test_a_mistake_is_told_with_its_line_and_what_was_meant(config: Path, right: str):
    wrong, told = BROKEN[right]
    file = config / "plays/welcome.yaml"
    text = file.read_text("utf8")
    assert right in text
    file.write_text(text.replace(right, wrong, 1), "utf8")
    assert any(told in mistake for mistake in mistakes(config)), mistakes(config)


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ('stage == "onbording"', "stage is never 'onbording'; did you mean 'onboarding'?"),
        ('stage != "onboarding" && band == "rot"', "band is never 'rot'"),
        ("stage == 3", "stage is never 3"),
        ("first_use_reached == 1", "'first_use_reached == 1' never holds: first_use_reached is true or false"),
    ],
)
def test_a_condition_that_compares_with_what_can_never_be_is_a_mistake(config: Path, condition: str, told: str):
    file = config / "plays/welcome.yaml"
    written = file.read_text("utf8").replace("unless: [first_use_reached]", f"unless: ['{condition}']")
    file.write_text(written, "utf8")
    assert any(told in mistake for mistake in mistakes(config)), mistakes(config)


RENAMED = {
    "plays/welcome.yaml": [
        ("cooldown: never", "again: never", "plays/welcome.yaml:6: 'again' is now 'cooldown'"),
        ("max_recipients: 1", "most: 1", "plays/welcome.yaml:7: 'most' is now 'max_recipients'"),
        ("cooldown: never", "cooldown: never\nguard: [seats >= 1]", "plays/welcome.yaml:7: 'guard' is now 'when'"),
        ("after: 2d,", "after: 2d, guard: [seats >= 1],", "plays/welcome.yaml:13: 'guard' is now 'when'"),
    ],
    "budget.yaml": [("max: 2,", "most: 2,", "budget.yaml:6: 'most' is now 'max'")],
}


@pytest.mark.parametrize(
    ("file", "right", "old", "told"), [(f, *case) for f, cases in RENAMED.items() for case in cases]
)
def test_an_old_key_gives_a_mistake_that_names_the_new_one(config: Path, file: str, right: str, old: str, told: str):
    text = (config / file).read_text("utf8")
    assert right in text
    (config / file).write_text(text.replace(right, old, 1), "utf8")
    assert mistakes(config) == [told]


def test_a_step_may_name_its_kind_and_is_a_message_where_it_names_none(config: Path):
    plain = load_plays(config, CHANNELS.traits).playbook.plays["welcome"].steps
    file = config / "plays/welcome.yaml"
    text = file.read_text("utf8")
    file.write_text(text.replace("{after: 2d,", "{kind: message, after: 2d,"), "utf8")
    named = load_plays(config, CHANNELS.traits).playbook.plays["welcome"].steps
    assert [step.name for step in named] == [step.name for step in plain]
    file.write_text(text.replace("{after: 2d,", "{kind: massage, after: 2d,"), "utf8")
    assert mistakes(config) == [
        "plays/welcome.yaml:13: unknown kind 'massage' (there are: message); did you mean 'message'?"
    ]


def test_all_mistakes_of_all_files_are_told_at_once(config: Path):
    (config / "plays/other.yaml").write_text("name: wrong\n", "utf8")
    (config / "budget.yaml").write_text((config / "budget.yaml").read_text("utf8").replace("1d}", "one day}"), "utf8")
    (config / "templates/welcome_hello.md.j2").write_text("Subject: x\n\n{% if %}\n", "utf8")
    assert len({mistake.split(":")[0] for mistake in mistakes(config)}) == 3


def test_a_play_that_rests_is_asked_how_long(config: Path):
    file = config / "plays/welcome.yaml"
    file.write_text(file.read_text("utf8").replace("cooldown: never\n", ""), "utf8")
    assert "'cooldown' is missing" in mistakes(config)[0]


def test_a_play_may_run_again_at_once(config: Path):
    file = config / "plays/welcome.yaml"
    file.write_text(file.read_text("utf8").replace("cooldown: never", "cooldown: 0d"), "utf8")
    assert load_plays(config, CHANNELS.traits).playbook.plays["welcome"].cooldown == timedelta()


def test_a_request_has_no_rest_of_its_own(config: Path):
    shutil.copy(CONFIG / "plays/nps_invite.yaml", config / "plays")
    file = config / "plays/nps_invite.yaml"
    file.write_text(file.read_text("utf8") + "cooldown: 90d\n", "utf8")
    assert "the contact budget is its cooldown" in mistakes(config)[0]


def test_a_text_that_could_not_be_written_for_some_account_is_found(config: Path):
    (config / "templates/welcome_hello.md.j2").write_text("Subject: x\n\nYou have {{ seats }} seats.\n", "utf8")
    assert "'seats' is undefined" in mistakes(config)[0]


def test_a_text_with_a_name_that_nobody_offers_is_found(config: Path):
    text = "Subject: x\n\n{% if seat is defined %}{{ seat }}{% endif %}\n"
    (config / "templates/welcome_hello.md.j2").write_text(text, "utf8")
    assert mistakes(config) == ["templates/welcome_hello.md.j2:3: unknown name 'seat'; did you mean 'seats'?"]


def test_without_a_footer_that_lets_people_go_no_mail_is_written(config: Path):
    (config / "templates/footer.md.j2").write_text("Subject: x\n\nBye\n", "utf8")
    assert "unsubscribe_link" in mistakes(config)[0]


def test_a_budget_with_a_zone_or_a_night_that_is_none_is_found(config: Path):
    text = (config / "budget.yaml").read_text("utf8")
    wrong = text.replace("timezone: UTC", "timezone: Mars/Base").replace('from: "20:00"', 'from: "8pm"')
    (config / "budget.yaml").write_text(wrong, "utf8")
    assert len(mistakes(config)) == 2


def test_missing_files_are_named(tmp_path: Path):
    assert any("budget.yaml:1: cannot be read" in mistake for mistake in mistakes(tmp_path))


def test_a_cap_on_a_topic_that_the_plays_spell_otherwise_is_a_mistake(config: Path):
    shutil.copy(CONFIG / "plays/nps_invite.yaml", config / "plays")
    budget = config / "budget.yaml"
    budget.write_text(budget.read_text("utf8").replace("topics: [nps]", "topics: [npss]"), "utf8")
    assert mistakes(config) == ["budget.yaml:8: no play has the topic 'npss'; did you mean 'nps'?"]
