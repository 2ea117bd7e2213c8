"""Keys: which of an installation's own a command takes, and what is said where none can be had."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.failures import Refused
from shared.keys import credentials, own_key
from shared.settings import Settings
from waymark.commands import show_keys

GIVEN = SecretStr("server:app:s-0123456789abcdef,admin:ops:a-0123456789abcdef")
SECRET = SecretStr("of the whole installation")


def test_a_command_takes_a_generated_key_where_none_is_given(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert own_key(settings, "admin") == credentials(tmp_path).admin
    assert own_key(settings, "server", "import") == credentials(tmp_path).write


def test_a_command_takes_a_key_of_the_settings_before_a_generated_one(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, keys=GIVEN, secret=SECRET)
    assert own_key(settings, "admin") == "a-0123456789abcdef"
    assert own_key(settings, "import", "server") == "s-0123456789abcdef"
    assert list(tmp_path.iterdir()) == []


def test_where_no_key_fits_it_is_said_which_kind_is_missing(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, keys=SecretStr("read:bi:r-0123456789abcdef"), secret=SECRET)
    with pytest.raises(Refused, match="no key of kind admin: give one with --key"):
        own_key(settings, "admin")


def test_no_keys_are_shown_that_would_not_be_accepted(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="those of WAYMARK_KEYS"):
        show_keys(Settings(data=tmp_path, keys=GIVEN, secret=SECRET))
    assert list(tmp_path.iterdir()) == []


def test_damaged_credentials_are_named_with_what_hangs_on_them(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("{")
    with pytest.raises(Refused, match=r"credentials\.json is damaged: put back the one of your backup"):
        credentials(tmp_path)
