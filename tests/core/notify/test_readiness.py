"""Readiness: what live mode is refused with, each thing alone; and what a good installation is asked, which is nothing."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from services.notify.definition import Definition
from services.notify.readiness import findings, is_local, refusal
from services.notify.wiring import definition
from shared.settings import Settings
from tests.brand import branded_config
from tests.conftest import ROOT

GOOD: dict[str, Any] = {
    "public_url": "https://success.acme.io",
    "smtp_url": SecretStr("smtps://user:secret@mail.acme.io"),
    "mail_from": "Acme <hello@acme.io>",
    "webhook_url": "https://acme.io/hook",
    "webhook_secret": SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Definitions of a company that has written its own name everywhere."""
    config = branded_config(tmp_path_factory.mktemp("own"))
    for file in [*config.glob("*.yaml"), *config.glob("templates/*"), *config.glob("surveys/*")]:
        text = file.read_text("utf8").replace("Our Product", "Acme Board").replace("app.example.com", "app.acme.io")
        text = text.replace("example.com", "acme.io").replace(
            "Example Ltd, 1 Example Street, Example Town", "Acme Ltd, 5 Mill Lane, York"
        )
        file.write_text(text.replace("# signup_url:", "signup_url:"), "utf8")
    return config


@pytest.fixture(scope="module")
def defined(own: Path) -> Definition:
    return definition(Settings(config=own))


def _blocking(settings: Settings, defined: Definition) -> list[str]:
    return [one.name for one in findings(settings, defined) if one.blocks]


def test_a_good_installation_is_asked_nothing(own: Path, defined: Definition) -> None:
    assert findings(Settings(config=own, **GOOD), defined) == []


def test_what_a_fresh_installation_lacks_is_said_all_at_once_with_what_to_do() -> None:
    fresh = Settings(config=ROOT / "config")
    found = findings(fresh, definition(fresh))
    assert {"product", "address", "app_url", "public_url", "smtp_url", "mail_from"} <= {
        one.name for one in found if one.blocks
    }
    assert all(one.problem and one.remedy for one in found)
    said = refusal(found)
    for word in ("Our Product", "Example Ltd", "WAYMARK_PUBLIC_URL", "WAYMARK_SMTP_URL", "WAYMARK_MAIL_FROM"):
        assert word in said


@pytest.mark.parametrize(
    ("setting", "value", "name"),
    [
        ("public_url", None, "public_url"),
        ("public_url", "http://success.acme.io", "public_url"),
        ("public_url", "https://127.0.0.1:8000", "public_url"),
        ("public_url", "https://[::1]", "public_url"),
        ("public_url", "https://10.1.2.3", "public_url"),
        ("public_url", "https://waymark", "public_url"),
        ("public_url", "https://waymark.localhost", "public_url"),
        ("public_url", "https://links.example.com", "public_url"),
        ("smtp_url", None, "smtp_url"),
        ("mail_from", "Customer Success <success@localhost.localdomain>", "mail_from"),
        ("mail_from", "hello@localhost", "mail_from"),
        ("mail_from", "Acme <hello@example.org>", "mail_from"),
        ("mail_from", "Acme <hello@mail.test>", "mail_from"),
        ("mail_from", "Acme", "mail_from"),
        ("mail_from", "Acme <no-reply@acme.io>", "reply_to"),
    ],
)
def test_each_thing_alone_is_refused(own: Path, defined: Definition, setting: str, value: Any, name: str) -> None:
    assert _blocking(Settings(config=own, **GOOD | {setting: value}), defined) == [name]
    despite = Settings(config=own, live_despite=f"other, {name}", **GOOD | {setting: value})
    assert _blocking(despite, defined) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("product", "Our Product"),
        ("product", " "),
        ("address", "Example Ltd, 1 Example Street, Example Town"),
        ("app_url", "https://app.example.com"),
        ("app_url", "http://localhost:3000"),
    ],
)
def test_names_of_our_examples_are_refused(own: Path, defined: Definition, key: str, value: str) -> None:
    theirs = defined._replace(company=defined.company | {key: value})
    assert _blocking(Settings(config=own, **GOOD), theirs) == [key]


def test_answers_go_to_somebody_who_reads_them(own: Path, defined: Definition) -> None:
    unread = Settings(config=own, **GOOD | {"mail_from": "Acme <donotreply@acme.io>"})
    assert _blocking(unread, defined) == ["reply_to"]
    read = defined._replace(brand=replace(defined.brand, reply_to="Acme <help@acme.io>"))
    assert _blocking(unread, read) == []
    nowhere = defined._replace(brand=replace(defined.brand, reply_to="help@acme.local"))
    assert _blocking(unread, nowhere) == ["reply_to"]


def test_a_programme_whose_friends_find_no_button_is_said_but_stops_nobody(own: Path, tmp_path: Path) -> None:
    config = Path(shutil.copytree(own, tmp_path / "config"))
    rules = config / "referrals.yaml"
    rules.write_text(rules.read_text("utf8").replace("signup_url:", "# signup_url:"), "utf8")
    (one,) = findings(Settings(config=config, **GOOD), definition(Settings(config=config)))
    assert (one.name, one.blocks) == ("signup_url", False)
    rules.write_text(rules.read_text("utf8").replace("enabled: true", "enabled: false"), "utf8")
    assert findings(Settings(config=config, **GOOD), definition(Settings(config=config))) == []


def test_a_play_that_has_no_link_for_its_text_is_said_but_stops_nobody(own: Path, tmp_path: Path) -> None:
    config = Path(shutil.copytree(own, tmp_path / "config"))
    brand = config / "brand.yaml"
    brand.write_text(brand.read_text("utf8").replace("  reviews: ", "  # reviews: "), "utf8")
    (one,) = findings(Settings(config=config, **GOOD), definition(Settings(config=config)))
    assert (one.blocks, one.problem) == (
        False,
        "the play 'review_ask' does not start: brand.yaml has no link 'reviews'",
    )
    assert str(brand) in one.remedy


def test_an_example_left_in_any_file_is_found_with_its_line(own: Path, defined: Definition, tmp_path: Path) -> None:
    config = Path(shutil.copytree(own, tmp_path / "config"))
    (config / "referrals.yaml").write_text(
        "enabled: true\n# see https://example.com\nsignup_url: https://app.example.com/join\n"
    )
    (one,) = findings(Settings(config=config, **GOOD), defined)
    assert one.blocks
    assert "referrals.yaml:3" in one.problem
    assert ":2" not in one.problem


def test_a_channel_that_plays_use_and_that_is_not_set_up_is_said_but_stops_nobody(
    own: Path, defined: Definition
) -> None:
    (one,) = findings(Settings(config=own, **GOOD | {"webhook_url": None}), defined)
    assert (one.name, one.blocks) == ("webhook", False)
    assert "WAYMARK_WEBHOOK_URL" in one.problem


def test_a_company_that_writes_no_mail_needs_no_mail_server(own: Path, defined: Definition) -> None:
    plays = {
        name: play
        for name, play in defined.playbook.plays.items()
        if all(step.channel is None or step.channel.name != "email" for step in play.steps)
    }
    quiet = defined._replace(playbook=defined.playbook._replace(plays=plays))
    assert _blocking(Settings(config=own, **GOOD | {"smtp_url": None, "mail_from": "nobody"}), quiet) == []


def test_addresses_that_no_customer_reaches() -> None:
    for host in ("localhost", "127.0.0.1", "192.168.1.4", "[::1]", "fd00::1", "box", "box.local", "a.internal", ""):
        assert is_local(host), host
    for host in ("acme.io", "8.8.8.8", "xn--bcher-kva.de"):
        assert not is_local(host), host
