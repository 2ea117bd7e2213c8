"""Definition files of a company: settings that the pages follow, and mistakes by line."""

import shutil
from pathlib import Path

import pytest

from services.advocacy.loading import definitions, product
from shared.definitions import DefinitionError
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


def test_pages_name_the_product_and_do_without(config: Path) -> None:
    assert product(Settings(config=config)) == "Our Product"
    (config / "templates" / "house.yaml").unlink()
    assert product(Settings(config=config)) == "our product"
