"""Fixtures: ingest on either deployment where the log matters, embedded where HTTP is enough."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import Deployment, embedded
from tests.service.ingest.make import RunningIngest, running


@pytest.fixture
async def ingest(deployment: Deployment) -> AsyncIterator[RunningIngest]:
    async with running(deployment.settings) as found:
        yield found


@pytest.fixture
async def embedded_ingest(tmp_path: Path) -> AsyncIterator[RunningIngest]:
    async with running(embedded(tmp_path)) as found:
        yield found
