"""Fixtures: a copy of the golden data to migrate and to go on with."""

from pathlib import Path

import pytest

from shared.settings import Settings
from tests.golden.release import config, unpacked
from tests.golden.scenario import settings


@pytest.fixture
def golden(tmp_path: Path) -> Settings:
    """A copy of the embedded data, as the release left them."""
    where = settings(tmp_path / "data", config(tmp_path / "config"))
    (tmp_path / "data" / "waymark.db").write_bytes(unpacked("waymark.db.xz"))
    return where
