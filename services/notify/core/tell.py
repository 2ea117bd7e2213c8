"""How is a decision told? Builds what leaves the core."""

from collections.abc import Mapping
from datetime import datetime

from services.notify.core.planned import Planned, key
from services.notify.core.playbook import Play, Step
from services.notify.core.policy import Verdict
from services.notify.core.state import Account, Item, Run
from shared.contracts.advocacy import OutreachRequested
from shared.contracts.evidence import Value

NOBODY: Mapping[str, Value] = {}


def told(
    account: Account,
    run: Run,
    item: Item,
    verdict: Verdict,
    at: datetime,
    play: Play | None = None,
    step: Step | None = None,
    mentioned: Mapping[str, Value] = NOBODY,
) -> Planned:
    """The decision on one item of a run. Without play and step: they left the playbook meanwhile."""
    channel = step.channel if step else "email"
    return Planned(
        id=key(run.play, account.id, run.occurrence, item.step, item.user, channel),
        account=account.id,
        play=run.play,
        version=play.version if play else "",
        occurrence=run.occurrence,
        step=item.step,
        channel=channel,
        outreach_class=play.class_ if play else "transactional",
        topic=play.topic if play else "",
        template=step.template if step else "",
        subject=step.subject if step else "",
        user=item.user,
        at=at,
        expires_at=item.expires_at,
        send=verdict.action == "send",
        reason=verdict.reason,
        detail=verdict.detail,
        history=account.held or (run.ask is not None and run.ask.history),
        facts=dict(mentioned),
    )


def unknown(account: Account, request: OutreachRequested, at: datetime) -> Planned:
    """A request for a play we do not have, or that is not made for requests."""
    return Planned(
        id=key(request.play, account.id, request.id, "", request.user, "email"),
        account=account.id,
        play=request.play,
        version="",
        occurrence=request.id,
        step="",
        channel="email",
        outreach_class=request.outreach_class,
        topic="",
        template="",
        subject="",
        user=request.user,
        at=at,
        expires_at=request.expires_at or at,
        send=False,
        reason="unknown_play",
        history=account.held or request.history,
    )
