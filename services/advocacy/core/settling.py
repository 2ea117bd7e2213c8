"""Does this referral count? A judgement of facts alone: whichever partition was read first, it ends the same."""

from datetime import datetime

from msgspec.structs import replace

from services.advocacy.core.decisions import Decision, ReversalDue
from services.advocacy.core.definitions import Referrals
from services.advocacy.core.emails import domain_of, normalised
from services.advocacy.core.ledger import payable_at
from services.advocacy.core.referral import NEXT, Code, Referral, Signup, Status
from services.advocacy.core.rewards import rewarded
from shared.contracts.advocacy import ReferralConverted
from shared.durations import in_words
from shared.ids import derived


def settle(
    referral: Referral, code: Code | None, booked_this_month: int, rules: Referrals, now: datetime
) -> tuple[Referral, list[Decision]]:
    """Judge a referral whenever anything of it became known: its row (`merged`), the code, its referrer's month.

    `booked_this_month` counts the referrer's own rewards with `month_of(referral)`. The caller holds the
    referral's and the referrer's rows. Judging again what is already settled changes nothing.
    """
    status, reason = judged(referral, code, rules)
    if code is None or status not in NEXT[referral.status]:
        return referral, []
    settled = replace(referral, status=status, reason=reason)
    if status == "converted":
        settled = replace(settled, converted_at=conversion(referral))
        rewards = rewarded(settled, code, booked_this_month, rules.rewards, now)
        return settled, [converted(settled, code, now), *rewards]
    if referral.status == "converted":
        return settled, [ReversalDue(account=referral.account, at=now, referral=referral.id, reason=reason)]
    return settled, []


def judged(referral: Referral, code: Code | None, rules: Referrals) -> tuple[Status, str]:
    """What the facts say, and why when they say no."""
    if code is None:
        return referral.status, ""
    reason = refusal(referral, code, rules)
    if reason:
        return "refused", reason
    if _given_back(referral, rules):
        return "reversed", "the payment was refunded"
    return ("converted", "") if referral.payment else ("attributed", "")


def refusal(referral: Referral, code: Code, rules: Referrals) -> str:
    """Why this referral does not count; empty when nothing speaks against it.

    The window was judged with the sign-up: clicks that came since say nothing about it.
    """
    signup, payment = referral.signup, referral.payment
    if code.account == referral.account:
        return "the account referred itself"
    if signup.at - signup.born > rules.attribution.new_account:
        return "the account was already known when it signed up with the code"
    people = _same_people(code, {*signup.emails, *(payment.emails if payment else ())})
    return people or (_outside_window(signup, code, rules) if referral.status == "waiting" else "")


def _same_people(code: Code, emails: set[str]) -> str:
    if code.email and code.email in map(normalised, emails):
        return "the advocate's own e-mail address signed up"
    same = {domain_of(email) for email in emails} & set(code.domains)
    return f"the same company signed up ({min(same)})" if same else ""


def _outside_window(signup: Signup, code: Code, rules: Referrals) -> str:
    if signup.at < code.issued_at:
        return "signed up before the code was given out"
    late = signup.at - _counted_from(signup, code, rules) > rules.attribution.within
    return f"signed up more than {in_words(rules.attribution.within)} after the code was used" if late else ""


def _counted_from(signup: Signup, code: Code, rules: Referrals) -> datetime:
    """A click after the sign-up is somebody else's."""
    clicked = code.clicked_at if rules.attribution.counts_from == "last_click" else None
    return clicked if clicked and code.issued_at <= clicked <= signup.at else code.issued_at


def _given_back(referral: Referral, rules: Referrals) -> bool:
    """A refund within the hold takes the conversion back; a later one is another invoice's story."""
    refunded = referral.payment.refunded_at if referral.payment else None
    return refunded is not None and refunded <= payable_at(conversion(referral), rules.rewards)


def conversion(referral: Referral) -> datetime:
    """When it came to count: signed up and paid."""
    return max(referral.signup.at, referral.payment.at) if referral.payment else referral.signup.at


def month_of(referral: Referral) -> str:
    """The month the referrer's cap counts it in."""
    return f"{conversion(referral):%Y-%m}"


def merged(known: Referral | None, seen: Referral) -> Referral:
    """The row with what was just seen: facts are added, the judgement so far is kept."""
    return replace(known, payment=seen.payment or known.payment) if known else seen


def clicked(code: Code, now: datetime) -> Code:
    """Somebody followed the advocate's link on purpose (a POST: scanners fetch links too)."""
    return replace(code, clicked_at=max(now, code.clicked_at or now))


def converted(referral: Referral, code: Code, now: datetime) -> ReferralConverted:
    """The message to the referrer's account."""
    return ReferralConverted(
        id=derived("referral_converted", referral.id),
        account=code.account,
        at=conversion(referral),
        decided_at=now,
        history=referral.history,
        user=code.user,
        referred_account=referral.account,
        code=code.code,
    )
