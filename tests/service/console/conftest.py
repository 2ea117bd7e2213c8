"""Fixtures: one console with running services for the tests of a file; each test has a browser of its own."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from shared.settings import Settings
from tests.conftest import embedded
from tests.journey.services import RunningServices
from tests.service.console.make import Browser, browser, site


class Site(NamedTuple):
    services: RunningServices
    settings: Settings


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    settings = embedded(tmp_path_factory.mktemp("console"))
    async with site(settings) as running:
        yield Site(running, settings)


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(shared_site: Site) -> AsyncIterator[Browser]:
    """Somebody who is not signed in."""
    async with browser(*shared_site) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def admin(visitor: Browser) -> Browser:
    """Somebody with an admin key."""
    return await visitor.signed_in()
