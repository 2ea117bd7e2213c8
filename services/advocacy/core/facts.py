"""What does a usage event tell of answers and referrals?"""

from msgspec.structs import replace

from services.advocacy.core.account import Account
from services.advocacy.core.answers import imported
from services.advocacy.core.codes import read
from services.advocacy.core.decisions import FactRefused, Step
from services.advocacy.core.definitions import Definitions
from services.advocacy.core.opting import brought
from services.advocacy.core.referral import Payment, Referral, Signup
from services.advocacy.core.refusal import Refused
from shared.contracts.lifecycle import FactObserved
from shared.ids import derived

OURS = "waymark"
"""Lifecycle's `via` on an answer to our own page, which comes back as a fact: it is in the books already."""


def observed(account: Account, message: FactObserved, definitions: Definitions) -> Step:
    """Read a fact; one that tells us nothing changes nothing, one that makes no sense is named."""
    try:
        return _read(account, message, definitions)
    except Refused as refused:
        return account, [_unusable(message, refused.reason)]


def _read(account: Account, message: FactObserved, definitions: Definitions) -> Step:
    kind = definitions.kind_told_by(message.fact)
    if kind and message.properties.get("via") == OURS:
        return account, []
    if kind:
        return imported(account, message, kind)
    facts = definitions.referrals.facts
    reactions = {
        facts.signup: _signed_up,
        facts.paid: _paid,
        facts.refunded: _refunded,
        facts.code_issued: _code_issued,
    }
    reaction = reactions.get(message.fact)
    return reaction(account, message, definitions) if reaction else (account, [])


def _signed_up(account: Account, message: FactObserved, _definitions: Definitions) -> Step:
    """The first sign-up counts: an account is referred once."""
    if account.signup:
        return account, []
    signup = Signup(
        code=_code(message),
        at=message.at,
        born=account.born or message.at,
        event=message.event,
        emails=_emails(account, message),
        history=message.history,
    )
    return _referral(replace(account, signup=signup))


def _paid(account: Account, message: FactObserved, _definitions: Definitions) -> Step:
    amount = message.properties.get("amount")
    if account.payment or isinstance(amount, bool | str | None) or amount <= 0:
        return account, []
    emails = _emails(account, message) if account.signup else ()
    payment = Payment(at=message.at, event=message.event, emails=emails, history=message.history)
    return _referral(replace(account, payment=payment))


def _refunded(account: Account, message: FactObserved, _definitions: Definitions) -> Step:
    if account.payment is None or account.payment.refunded_at:
        return account, []
    return _referral(replace(account, payment=replace(account.payment, refunded_at=message.at)))


def _code_issued(account: Account, message: FactObserved, definitions: Definitions) -> Step:
    if not message.user:
        raise Refused("invalid", "no user")
    if message.user in account.codes:
        return account, []
    return brought(account, message.user, _code(message), definitions.referrals, message.at, history=message.history)


def _referral(account: Account) -> Step:
    """What is known of this account as a referred one: the shell keeps it and settles it (`settling.py`)."""
    if account.signup is None:
        return account, []
    referral = Referral(
        id=derived("referral", account.id), account=account.id, signup=account.signup, payment=account.payment
    )
    return account, [referral]


def _code(message: FactObserved) -> str:
    """Raises Refused where there is none."""
    told = message.properties.get("referral_code")
    code = read(told) if isinstance(told, str) else ""
    if not code:
        raise Refused("invalid", "no referral_code")
    return code


def _emails(account: Account, message: FactObserved) -> tuple[str, ...]:
    told = message.properties.get("email")
    return tuple(sorted({*account.emails, *([told] if isinstance(told, str) and "@" in told else [])}))


def _unusable(message: FactObserved, reason: str) -> FactRefused:
    return FactRefused(
        account=message.account,
        at=message.at,
        history=message.history,
        fact=message.fact,
        event=message.event,
        reason=reason,
    )
