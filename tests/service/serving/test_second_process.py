"""A second process on one SQLite file: it is refused before it changes anything."""

from pathlib import Path

import pytest

from shared.clock import SystemClock
from shared.failures import Refused
from shared.settings import Settings
from shared.storage import sole_user
from waymark.assembly import assembled


async def test_a_process_that_is_refused_has_migrated_nothing(tmp_path: Path) -> None:
    """The first one may be of an earlier version, whose columns a migration renames."""
    settings = Settings(data=tmp_path)
    with sole_user(settings), pytest.raises(Refused, match="another Waymark uses"):
        async with assembled(settings, ["ingest"], SystemClock()):
            pass
    assert not (tmp_path / "waymark.db").exists()
    async with assembled(settings, ["ingest"], SystemClock()):
        assert (tmp_path / "waymark.db").exists()
