"""Attribution: whether a referral counts, by its facts alone. Whichever partition is read first, the verdict is the same.

To add a fraud rule, write its class and put it into FRAUD_RULES (docs/howto/add-a-fraud-rule.md).
"""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import ClassVar

from msgspec.structs import replace

from services.advocacy.core.decisions import ReferralDecision, ReversalRequired
from services.advocacy.core.definitions import Referrals
from services.advocacy.core.ledger import book_rewards, payable_at
from services.advocacy.core.referral import REFERRAL, Code, Referral, domain_of, normalise_email
from shared.contracts.advocacy import ReferralConverted, ReferralStatus
from shared.durations import in_words
from shared.ids import derived


def evaluate(
    referral: Referral, code: Code | None, booked_this_month: int, rules: Referrals, now: datetime
) -> tuple[Referral, list[ReferralDecision]]:
    """Evaluate a referral whenever a fact of it became known: its row (`merge_facts`), the code, its referrer's month.

    `booked_this_month` counts the referrer's own rewards in `referral.cap_month`. The caller has locked the referral's
    and the referrer's rows. A referral with its final status stays as it is.
    """
    status, reason = verdict(referral, code, rules)
    if code is None or not REFERRAL.allows(referral.status, status):
        return referral, []
    after = replace(referral, status=REFERRAL.transition(referral.status, status), reason=reason)
    if status == "converted":
        after = replace(after, converted_at=referral.qualified_at)
        return after, [_conversion(after, code, now), *book_rewards(after, code, booked_this_month, rules.rewards, now)]
    if referral.status == "converted":
        return after, [ReversalRequired(account=referral.account, at=now, referral=referral.id, reason=reason)]
    return after, []


def verdict(referral: Referral, code: Code | None, rules: Referrals) -> tuple[ReferralStatus, str]:
    """The status that follows from the facts, and the reason where it does not count."""
    if code is None:
        return referral.status, ""
    reason = fraud_reason(referral, code, rules)
    if reason:
        return "refused", reason
    if _refunded_within_hold(referral, rules):
        return "reversed", "the payment was refunded"
    return ("converted", "") if referral.payment else ("attributed", "")


def _refunded_within_hold(referral: Referral, rules: Referrals) -> bool:
    """A refund within the hold takes the conversion back; a later one belongs to another invoice."""
    refunded = referral.payment.refunded_at if referral.payment else None
    return refunded is not None and refunded <= payable_at(referral.qualified_at, rules.rewards)


def _conversion(referral: Referral, code: Code, now: datetime) -> ReferralConverted:
    """The message to the referrer's account."""
    return ReferralConverted(
        id=derived("referral_converted", referral.id),
        account=code.account,
        at=referral.qualified_at,
        decided_at=now,
        history=referral.history,
        user=code.user,
        referred_account=referral.account,
        code=code.code,
    )


def merge_facts(stored: Referral | None, observed: Referral) -> Referral:
    """The row with what was just observed: facts are added, the status stays."""
    return replace(stored, payment=observed.payment or stored.payment) if stored else observed


class FraudRule(ABC):
    """One reason why a referral does not count. With `at_signup` it is asked once: later facts say nothing about it."""

    at_signup: ClassVar[bool] = False

    @abstractmethod
    def reason(self, referral: Referral, code: Code, rules: Referrals) -> str:
        """Why the referral does not count, as REST shows it; empty where this rule has nothing against it."""


class SelfReferral(FraudRule):
    """The account signed up with its own code."""

    def reason(self, referral: Referral, code: Code, rules: Referrals) -> str:  # noqa: ARG002  the rules' signature
        return "the account referred itself" if code.account == referral.account else ""


class KnownAccount(FraudRule):
    """The account is older than a new customer's may be."""

    def reason(self, referral: Referral, code: Code, rules: Referrals) -> str:  # noqa: ARG002  the rules' signature
        old = referral.signup.at - referral.signup.first_seen_at > rules.attribution.new_account
        return "the account was already known when it signed up with the code" if old else ""


class OwnEmail(FraudRule):
    """The advocate is among the people of the referred account."""

    def reason(self, referral: Referral, code: Code, rules: Referrals) -> str:  # noqa: ARG002  the rules' signature
        own = code.email and code.email in map(normalise_email, _emails(referral))
        return "the advocate's own e-mail address signed up" if own else ""


class SameCompany(FraudRule):
    """Somebody of the referred account has an address of the advocate's company."""

    def reason(self, referral: Referral, code: Code, rules: Referrals) -> str:  # noqa: ARG002  the rules' signature
        shared = {domain_of(email) for email in _emails(referral)} & set(code.domains)
        return f"the same company signed up ({min(shared)})" if shared else ""


class OutsideWindow(FraudRule):
    """The sign-up came before the code was given out, or too long after it was used."""

    at_signup = True

    def reason(self, referral: Referral, code: Code, rules: Referrals) -> str:
        signed_up_at = referral.signup.at
        if signed_up_at < code.issued_at:
            return "signed up before the code was given out"
        clicked = code.clicked_at if rules.attribution.counts_from == "last_click" else None
        # a click after the sign-up is somebody else's
        start = clicked if clicked and code.issued_at <= clicked <= signed_up_at else code.issued_at
        late = signed_up_at - start > rules.attribution.within
        return f"signed up more than {in_words(rules.attribution.within)} after the code was used" if late else ""


FRAUD_RULES: tuple[FraudRule, ...] = (
    SelfReferral(),
    KnownAccount(),
    OwnEmail(),
    SameCompany(),
    OutsideWindow(),
)
"""Every rule, in the order in which they are asked: the first reason is the one that is shown."""


def fraud_reason(referral: Referral, code: Code, rules: Referrals) -> str:
    """Why this referral does not count; empty when no rule has anything against it."""
    asked = (rule for rule in FRAUD_RULES if not rule.at_signup or referral.status == "waiting")
    return next((reason for rule in asked if (reason := rule.reason(referral, code, rules))), "")


def _emails(referral: Referral) -> set[str]:
    return {*referral.signup.emails, *(referral.payment.emails if referral.payment else ())}
