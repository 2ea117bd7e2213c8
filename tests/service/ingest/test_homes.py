"""Who is not at home? One question about many users, whichever database is asked."""

import pytest

from services.ingest.core.placing import Home
from services.ingest.store import elsewhere, remember_homes
from tests.conftest import Deployment
from tests.make import NOON, store

QUOTED = "a\"nn '\\ \u00e9"


@pytest.mark.parametrize("user", ["ann", QUOTED, "", "12"])
async def test_only_those_who_belong_elsewhere_or_nowhere_are_named(deployment: Deployment, user: str) -> None:
    async with store(deployment.settings) as opened:
        async with opened.database.transaction() as tx:
            await remember_homes(tx, {user: Home("acme", NOON), "bob": Home("beta", NOON), "cid": Home("", NOON)})
        async with opened.database.snapshot() as read:
            assert await elsewhere(read, {}) == set()
            assert await elsewhere(read, {user: "acme", "bob": "beta"}) == set()
            assert await elsewhere(read, {user: "beta", "bob": "beta"}) == {user}
            assert await elsewhere(read, {"cid": "acme", "new": "acme", "bob": "beta"}) == {"cid", "new"}
