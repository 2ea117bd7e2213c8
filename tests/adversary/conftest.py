"""Fixtures of the adversary's suite."""

import pytest

from tests.conftest import BOTH, Deployment, embedded, scaled
from tests.golden.conftest import golden

__all__ = ["golden"]


@pytest.fixture(scope="module", params=BOTH)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Each deployment, once for all tests of a file: they share a running product, and name accounts of their own."""
    folder = tmp_path_factory.mktemp(request.param)
    return Deployment(request.param, embedded(folder) if request.param == "embedded" else scaled(request, folder))
