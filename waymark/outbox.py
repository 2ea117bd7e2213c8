"""Commands of the outbox: `waymark outbox approve`, to a running notify over REST."""

from waymark.notify_client import Target, call, client


async def approve(target: Target) -> None:
    """Let go what waits after the first sends, and say how much it is."""
    async with client(target) as http:
        waiting = (await call(http, "GET", "/notify/v1/approval"))["waiting"]
        await call(http, "POST", "/notify/v1/approval")
    print(f"approved: {waiting} messages that waited leave now, and all later ones as they come")
