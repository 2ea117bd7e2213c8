"""The operator's page names every setting, and none that does not exist."""

import re

from shared.settings import Settings
from tests.conftest import ROOT

NAMED = re.compile(r"`WAYMARK_([A-Z_]+)`")


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    named = {name.lower() for name in NAMED.findall((ROOT / "docs/operations.md").read_text("utf8"))}
    assert named == set(Settings.model_fields)
