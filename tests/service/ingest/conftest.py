"""Which ingest do these tests run? Either deployment where the log matters, one process where HTTP is enough."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import Deployment, embedded
from tests.service.ingest.make import Site, running


@pytest.fixture
async def site(deployment: Deployment) -> AsyncIterator[Site]:
    async with running(deployment.settings) as found:
        yield found


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Site]:
    async with running(embedded(tmp_path)) as found:
        yield found
