"""Settings: what cannot work is refused with what to write instead; an empty variable is none."""

import pytest
from pydantic import ValidationError

from shared.settings import Settings

WRONG = {
    "public_url": ("acme.io", "'acme.io' is no address: write https://HOST"),
    "webhook_url": ("ftp://hooks.acme.io", "no address"),
    "lifecycle_url": ("lifecycle:8000", "http://HOST:PORT"),
    "secret": ("short", "16 bytes at least"),
    "trusted_proxies": ("10.0.0.1, nginx", "'nginx' does not appear to be"),
    "egress_allow": ("10.0.0.0/33", "write addresses, or networks as 10.0.0.0/8"),
    "topic_prefix": ("a b", "'a b' is no prefix of a topic"),
    "protect": ("metric", "there are docs, metrics"),
}
EMPTY = ("secret", "keys", "database_url", "bus_url", "public_url", "smtp_url", "keep_decisions_days")


@pytest.mark.parametrize("name", WRONG)
def test_a_setting_that_cannot_work_is_refused_with_what_to_write(name: str) -> None:
    given, said = WRONG[name]
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({name: given})
    assert said in str(refused.value)


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_variable_is_none(name: str) -> None:
    """An empty secret beside keys would sign every link with nothing."""
    assert getattr(Settings.model_validate({name: ""}), name) is None


def test_what_can_work_is_taken() -> None:
    given = {
        "public_url": "https://success.acme.io/path",
        "ingest_url": "http://[::1]:8000",
        "trusted_proxies": "10.0.0.0/8, ::1",
        "egress_allow": "",
        "topic_prefix": "prod.",
        "secret": "0123456789abcdef",
    }
    settings = Settings.model_validate(given)
    assert settings.public == "https://success.acme.io/path"
    assert Settings.model_validate({"trusted_proxies": "*"}).trusted_proxies == "*"
    assert Settings.model_validate({"trusted_proxies": ""}).trusted_proxies == ""
