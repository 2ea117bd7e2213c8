"""Readout: everything a client can ask the services, as one JSON document; the same paths before and after a migration."""

from typing import Any
from urllib.parse import quote

from tests.journey.services import RunningServices

LISTS = (
    "/lifecycle/v1/accounts",
    "/notify/v1/tasks",
    "/advocacy/v1/notes",
    "/advocacy/v1/referrals",
    "/advocacy/v1/advocates",
    *(f"/{service}/v1/parked" for service in ("ingest", "lifecycle", "notify", "advocacy")),
)
ANSWERS = ("/lifecycle/v1/funnel", "/notify/v1/mode", "/notify/v1/plays", "/advocacy/v1/surveys", "/advocacy/v1/asks")


async def readout(on: RunningServices) -> dict[str, Any]:
    """Each path and what it answered; lists whole, every page of them."""
    found: dict[str, Any] = {path: await on.pages(path, limit=500) for path in LISTS}
    found |= {path: await on.get(path) for path in ANSWERS}
    for account in found["/lifecycle/v1/accounts"]:
        path = f"/lifecycle/v1/accounts/{quote(account['id'], safe='')}"
        found[path] = await on.get(path)
        found[f"{path}/history"] = await on.pages(f"{path}/history", limit=500)
    outbox = await on.pages("/notify/v1/outbox", limit=500)
    # A text that goes on is read whole; of the many that were only shown in an imported past, the row is enough.
    found["/notify/v1/outbox"] = outbox
    for row in outbox:
        if not row["history"] and row["status"] != "skipped":
            found[f"/notify/v1/outbox/{row['id']}"] = await on.get(f"/notify/v1/outbox/{row['id']}")
    for user in sorted({row["user"] for row in outbox if row["user"]}):
        if consents := await on.get("/notify/v1/consents", user=user):
            found[f"/notify/v1/consents?user={user}"] = consents
    for survey in found["/advocacy/v1/surveys"]:
        path = f"/advocacy/v1/surveys/{survey['name']}/answers"
        found[path] = await on.pages(path, limit=500)
    ledger = await on.get("/advocacy/v1/ledger", limit=500)
    assert ledger["next"] is None
    found["/advocacy/v1/ledger"] = ledger
    return found
