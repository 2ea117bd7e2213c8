"""Users who are not members of the account that an event names: one query about many, on either database."""

import pytest

from services.ingest.core.account_resolution import Membership
from services.ingest.store import load_memberships, save_memberships, users_not_in
from tests.conftest import Deployment
from tests.make import NOON, migrated_storage

QUOTED = "a\"nn '\\ \u00e9"


@pytest.mark.parametrize("user", ["ann", QUOTED, "", "12"])
async def test_only_those_who_belong_elsewhere_or_nowhere_are_named(deployment: Deployment, user: str) -> None:
    async with migrated_storage(deployment.settings) as opened:
        async with opened.database.transaction() as tx:
            await save_memberships(
                tx, {user: Membership("acme", NOON), "bob": Membership("beta", NOON), "cid": Membership("", NOON)}
            )
            await save_memberships(tx, {"dan": Membership("acme", NOON, trusted=False)})
        async with opened.database.snapshot() as read:
            assert await users_not_in(read, {}) == set()
            assert await users_not_in(read, {user: "acme", "bob": "beta"}) == set()
            assert await users_not_in(read, {user: "beta", "bob": "beta"}) == {user}
            assert await users_not_in(read, {"dan": "acme"}) == {"dan"}  # by a browser's word only
            assert (await load_memberships(read, ["dan", "bob"])) == {
                "dan": Membership("acme", NOON, trusted=False),
                "bob": Membership("beta", NOON),
            }
            assert await users_not_in(read, {"cid": "acme", "new": "acme", "bob": "beta"}) == {"cid", "new"}
