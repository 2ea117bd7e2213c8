"""Definition files of a company: settings that the pages follow, and mistakes by line."""

import shutil
from pathlib import Path

import pytest

from services.advocacy.loading import definitions
from shared.brand import load_brand
from shared.definitions import DefinitionError
from shared.hosted import hosted_brand
from shared.settings import Settings
from tests.conftest import ROOT, Deployment
from tests.core.advocacy.make import Story
from tests.service.advocacy.make import running_advocacy


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of the shipped definitions, to change."""
    return Path(shutil.copytree(ROOT / "config", tmp_path / "config"))


def also(file: Path, text: str) -> None:
    file.write_text(f"{file.read_text('utf8')}\n{text}\n", "utf8")


async def test_a_codes_page_leads_to_the_companys_signup(deployment: Deployment, config: Path) -> None:
    also(config / "referrals.yaml", "signup_url: https://app.example.com/join?plan=pro")
    async with running_advocacy(deployment.settings.model_copy(update={"config": config})) as advocacy:
        await advocacy.publish_stories(
            Story().stage(0, "retention").fact(1, "referral_code_issued", "ann", referral_code="ANN-7")
        )
        onward = "https://app.example.com/join?plan=pro&referral_code=ANN7"
        landing = await advocacy.get(f"{advocacy.services.url}/advocacy/c/ann7")
        assert landing.status_code == 200
        assert f'href="{onward.replace("&", "&amp;")}"' in landing.text
        answer = await advocacy.post(f"{advocacy.services.url}/advocacy/c/ann7")
        assert (answer.status_code, answer.headers["location"]) == (303, onward)


async def test_a_programme_that_has_ended_says_so_to_everybody(deployment: Deployment, config: Path) -> None:
    rules = config / "referrals.yaml"
    rules.write_text(rules.read_text("utf8").replace("enabled: true", "enabled: false", 1), "utf8")
    also(rules, "signup_url: https://app.example.com/join")
    async with running_advocacy(deployment.settings.model_copy(update={"config": config})) as advocacy:
        await advocacy.publish_stories(
            Story().stage(0, "retention").fact(1, "referral_code_issued", "ann", referral_code="ANN-7")
        )
        page = await advocacy.get(f"{advocacy.services.url}/advocacy/c/ann7")
        assert page.status_code == 410
        assert "This offer has ended" in page.text
        assert 'href="https://app.example.com/join"' in page.text


def test_every_mistake_is_named_with_its_line(config: Path) -> None:
    also(config / "referrals.yaml", "signup_url: javascript:alert(1)")
    also(config / "surveys" / "nps.yaml", "opens: 3d")
    with pytest.raises(DefinitionError) as wrong:
        definitions(Settings(config=config))
    assert [Path(mistake.file).name for mistake in wrong.value.mistakes] == ["referrals.yaml", "nps.yaml"]
    assert "did you mean 'open'" in str(wrong.value)


@pytest.mark.parametrize(
    ("file", "before", "after", "mistake"),
    [
        (
            "surveys/nps.yaml",
            "play: nps_invite",
            "play: nps_invit",
            "there is no play 'nps_invit' on request; did you mean",
        ),
        (
            "surveys/nps.yaml",
            "play: nps_invite",
            "play: phone",
            "there is no play 'phone' on request (there are: csat_inv",
        ),
        (
            "surveys/nps.yaml",
            "play: nps_invite",
            "play: save",
            "the play 'save' starts by itself: an invitation is sent",
        ),
        (
            "surveys/nps.yaml",
            "stage: retention",
            "stage: retentoin",
            "lifecycle has no stage 'retentoin'; did you mean",
        ),
        ("surveys/nps.yaml", "signal: renewal_120", "signal: x", "lifecycle has no signal 'x' (there are: "),
        (
            "surveys/csat.yaml",
            "never_in: [churned]",
            "never_in: [gone]",
            "lifecycle has no stage 'gone' (there are: ado",
        ),
        (
            "referrals.yaml",
            "  play: referral_invite",
            "  play: x",
            "there is no play 'x' on request (there are: csat_inv",
        ),
        ("referrals.yaml", "page_play: referral_page", "page_play: x", "there is no play 'x' on request (there are: "),
        (
            "referrals.yaml",
            "urgent_metric: open_urgent_tickets",
            "urgent_metric: x",
            "lifecycle has no metric 'x' (there",
        ),
        ("referrals.yaml", "paid: invoice_paid", "paid: x", "lifecycle has no fact 'x' (there are: "),
    ],
)
def test_a_name_that_another_file_does_not_have_is_a_mistake_that_says_what_there_is(
    config: Path, file: str, before: str, after: str, mistake: str
) -> None:
    text = (config / file).read_text("utf8")
    line = text[: text.index(before)].count("\n") + 1
    (config / file).write_text(text.replace(before, after, 1), "utf8")
    with pytest.raises(DefinitionError) as wrong:
        definitions(Settings(config=config))
    assert f"{file}:{line}: {mistake}" in str(wrong.value)


def test_a_survey_with_its_play_taken_away_does_not_load(config: Path) -> None:
    (config / "plays" / "csat_invite.yaml").unlink()
    with pytest.raises(DefinitionError, match="there is no play 'csat_invite' on request; did you mean 'nps_invite'"):
        definitions(Settings(config=config))


def test_what_is_not_at_hand_is_not_checked_nor_is_a_default_that_nobody_wrote(config: Path) -> None:
    rules = config / "referrals.yaml"
    rules.write_text("rewards: {currency: EUR, referrer: 1, referred: 1}", "utf8")
    lifecycle = (config / "lifecycle.yaml").read_text("utf8")
    (config / "lifecycle.yaml").write_text(lifecycle.replace("advocate_candidate", "fan"), "utf8")
    assert definitions(Settings(config=config)).referrals.ask.signal == "advocate_candidate"
    shutil.rmtree(config / "plays")
    (config / "lifecycle.yaml").unlink()
    assert definitions(Settings(config=config)).surveys


def test_pages_name_the_product_wherever_it_is_said(config: Path) -> None:
    assert hosted_brand(load_brand(config)).name == "Our Product"
    (config / "brand.yaml").unlink()
    (config / "templates" / "house.yaml").write_text(
        "product: Old\nsender: We\napp_url: https://a.test\naddress: Here\n", "utf8"
    )
    assert hosted_brand(load_brand(config)).name == "Old"
