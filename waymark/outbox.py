"""Commands of the outbox, `waymark outbox approve` and `redrive`, to a running notify over REST."""

from urllib.parse import quote

from waymark.notify_client import Target, call, client


async def approve(target: Target) -> None:
    """Let go what waits after the first sends, and say how much it is."""
    async with client(target) as http:
        waiting = (await call(http, "GET", "/notify/v1/approval"))["waiting"]
        await call(http, "POST", "/notify/v1/approval")
    print(f"approved: {waiting} messages that waited leave now, and all later ones as they come")


async def redrive(target: Target, delivery: str | None, play: str | None, channel: str | None) -> None:
    """Send again what failed: one delivery, or all of a play or channel, or everything; and say what came of it."""
    async with client(target) as http:
        if delivery is not None:
            await call(http, "POST", f"/notify/v1/outbox/{quote(delivery, safe='')}/redrive")
            print("sent again, if it is still true when it leaves")
            return
        wanted = {name: value for name, value in (("play", play), ("channel", channel)) if value is not None}
        done = await call(http, "POST", "/notify/v1/outbox/redrive", json=wanted)
    print(
        f"{done['redriven']} sent again, if still true when they leave; {done['expired']} left out, they have expired"
    )
