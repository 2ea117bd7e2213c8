"""Whom do we ask to refer others, now? One person, once, and not any more when the account's health falls."""

from datetime import datetime

from msgspec.structs import replace

from services.advocacy.core.account import Account, Ask, AskStatus
from services.advocacy.core.candidacy import fallen, promoter, reasons_against
from services.advocacy.core.decisions import Invitation, InvitationClosed, Step
from services.advocacy.core.definitions import Definitions, Referrals
from services.advocacy.core.refusal import Refused
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import LifecycleMessage, SignalRaised
from shared.ids import derived

NEXT: dict[AskStatus, tuple[AskStatus, ...]] = {
    "open": ("accepted", "declined", "withdrawn"),
    "declined": ("accepted",),
    "accepted": (),
    "withdrawn": (),
}


def called(account: Account, message: LifecycleMessage, definitions: Definitions) -> Account:
    """Lifecycle may call the account a candidate."""
    if isinstance(message, SignalRaised) and message.signal == definitions.referrals.ask.signal:
        return replace(account, candidate_at=account.clock)
    return account


def reconsidered(account: Account, definitions: Definitions, *, history: bool) -> Step:
    """Withdraw what must not stay out, then ask if nothing speaks against it."""
    rules = definitions.referrals
    account, closed = withdrawn(account, rules)
    user = promoter(account, rules.ask)
    if not rules.enabled or user is None or reasons_against(account, rules.ask):
        return account, closed
    invitation = _invitation(account, user, definitions, history)
    ask = Ask(invitation.id, user, invitation.at, invitation.closes_at, history=history)
    recent = tuple(known for known in account.asks if not _forgotten(account, known, rules))
    return replace(account, asks=(*recent, ask), candidate_at=None), [*closed, invitation]


def withdrawn(account: Account, rules: Referrals) -> Step:
    """Take back the ask that is out when its account or its person fell from grace."""
    for ask in account.asks:
        reason = fallen(account, ask, rules.ask) if ask.status == "open" else ""
        if reason:
            after, closed = settled(account, ask, "withdrawn", reason, account.clock)
            return replace(after, candidate_at=None), closed
    return account, []


def settled(account: Account, ask: Ask, status: AskStatus, reason: str, at: datetime) -> Step:
    """The one way an ask's status changes. Raises Refused where the table does not allow it."""
    if status not in NEXT[ask.status] or status == "open":
        raise Refused("forbidden", f"this invitation is {ask.status}")
    after = replace(ask, status=status, settled_at=at)
    closed = InvitationClosed(account=account.id, at=at, history=ask.history, id=ask.id, status=status, reason=reason)
    return replace(account, asks=tuple(after if known.id == ask.id else known for known in account.asks)), [closed]


def _forgotten(account: Account, ask: Ask, rules: Referrals) -> bool:
    """Older than any rule looks back."""
    return account.clock - ask.at > rules.ask.cooldown + rules.ask.cooldown_after_decline + rules.ask.open


def _invitation(account: Account, user: str, definitions: Definitions, history: bool) -> Invitation:
    rules = definitions.referrals
    return Invitation(
        id=derived("invitation", "referral", account.id, user, account.clock.isoformat()),
        purpose="referral",
        name="referral",
        account=account.id,
        user=user,
        play=rules.ask.play,
        outreach_class="advocacy",
        at=account.clock,
        closes_at=account.clock + rules.ask.open,
        cause="a promoter in good health",
        definition=definitions.versions.get("referrals", ""),
        history=history,
        values=_offer(account, user, rules),
    )


def _offer(account: Account, user: str, rules: Referrals) -> dict[str, Value]:
    return {
        "name": account.contacts[user].name,
        "reward_referrer": money(rules.rewards.referrer, rules.rewards.currency),
        "reward_referred": money(rules.rewards.referred, rules.rewards.currency),
    }


def money(amount: int, currency: str) -> str:
    """Minor units as people read them; empty for nothing."""
    return f"{amount // 100}.{amount % 100:02d} {currency}" if amount else ""
