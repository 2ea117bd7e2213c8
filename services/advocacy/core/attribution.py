"""Attribution: whether a referral counts, by its facts alone. Whichever partition is read first, the verdict is the same.

To add a fraud rule, write its class and put it into FRAUD_RULES (docs/howto/add-a-fraud-rule.md).
"""

from abc import ABC, abstractmethod
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from msgspec.structs import replace

from services.advocacy.core.decisions import ReferralDecision, ReversalRequired, ReviewRequired
from services.advocacy.core.definitions import Referrals
from services.advocacy.core.ledger import book_rewards, payable_at
from services.advocacy.core.referral import (
    REFERRAL,
    Code,
    Referral,
    common_parent,
    company_domains,
    is_same_domain,
    normalise_email,
    refunded_share,
)
from shared.contracts.advocacy import ReferralConverted, ReferralStatus
from shared.durations import in_words
from shared.ids import derived


def evaluate(
    referral: Referral, code: Code | None, booked_this_month: int, rules: Referrals, now: datetime
) -> tuple[Referral, list[ReferralDecision]]:
    """Evaluate a referral whenever a fact of it became known: its row (`merge_facts`), the code, its referrer's month.

    `booked_this_month` counts the referrer's own rewards in `referral.cap_month`. The caller has locked the referral's
    and the referrer's rows. A referral with its final status stays as it is: `reversed` is final where rewards were booked.
    """
    status, reason = verdict(referral, code, rules)
    is_final = referral.status == "reversed" and referral.converted_at is not None
    if code is None or is_final or not REFERRAL.allows(referral.status, status):
        return referral, []
    after = replace(referral, status=REFERRAL.transition(referral.status, status), reason=reason)
    if status == "converted":
        after = replace(after, converted_at=referral.qualified_at)
        review = [ReviewRequired(account=after.account, at=now, referral=after.id, reason=reason)] if reason else []
        booked = book_rewards(after, code, booked_this_month, rules.rewards, now, needs_review=bool(reason))
        return after, [_conversion(after, code, now), *booked, *review]
    if referral.status == "converted":
        return after, [ReversalRequired(account=referral.account, at=now, referral=referral.id, reason=reason)]
    return after, []


def verdict(referral: Referral, code: Code | None, rules: Referrals) -> tuple[ReferralStatus, str]:
    """The status that follows from the facts, and the reason where it does not count or must be reviewed."""
    if code is None:
        return referral.status, ""
    reason = fraud_reason(referral, code, rules)
    if reason:
        return "refused", reason
    if _is_refunded(referral, rules):
        return "reversed", "the payment was refunded"
    return ("converted", review_reason(referral, code, rules)) if referral.payment else ("attributed", "")


def _is_refunded(referral: Referral, rules: Referrals) -> bool:
    """Within the hold, refunds of this payment from the rule's share on take the conversion back."""
    payment = referral.payment
    if payment is None:
        return False
    until = payable_at(referral.qualified_at, rules.rewards)
    if payment.refunded_at and payment.refunded_at <= until:
        return True
    return refunded_share(payment, referral.refunds, until) >= Decimal(str(rules.refund.reverse_from))


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
    if stored is None:
        return observed
    return replace(stored, payment=observed.payment or stored.payment, refunds=observed.refunds or stored.refunds)


class FraudRule(ABC):
    """One reason why a referral does not count. With `at_signup` it is asked once: later facts say nothing about it.

    With `only_review` the referral counts, and its rewards wait for a person: the reason is a guess.
    """

    at_signup: ClassVar[bool] = False
    only_review: ClassVar[bool] = False

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
    """The advocate is among the people of the referred account, or pays for it."""

    def reason(self, referral: Referral, code: Code, rules: Referrals) -> str:  # noqa: ARG002  the rules' signature
        own = code.email and code.email in map(normalise_email, referral.emails)
        return "the advocate's own e-mail address signed up" if own else ""


class OwnUser(FraudRule):
    """The advocate's user id is among the people of the referred account: a second workspace."""

    def reason(self, referral: Referral, code: Code, rules: Referrals) -> str:  # noqa: ARG002  the rules' signature
        return "the advocate signed up a second workspace" if code.user in referral.users else ""


class SameCompany(FraudRule):
    """Somebody of the referred account has an address at a domain, or a subdomain, of the advocate's company."""

    def reason(self, referral: Referral, code: Code, rules: Referrals) -> str:
        referred = company_domains(referral.emails, rules.free_mail)
        shared = [each for each in referred if any(is_same_domain(each, own) for own in code.domains)]
        return f"the same company signed up ({min(shared)})" if shared else ""


class SharedPeople(FraudRule):
    """Somebody is in both accounts: a colleague's second workspace, or an honest consultant."""

    only_review = True

    def reason(self, referral: Referral, code: Code, rules: Referrals) -> str:  # noqa: ARG002  the rules' signature
        users = referral.users & set(code.users)
        emails = {*map(normalise_email, referral.emails)} & set(code.emails)
        return f"somebody is in both accounts ({min(users or emails)})" if users or emails else ""


class SiblingDomain(FraudRule):
    """Both have addresses below one domain: two offices of a company, or two customers of one provider."""

    only_review = True

    def reason(self, referral: Referral, code: Code, rules: Referrals) -> str:
        referred = company_domains(referral.emails, rules.free_mail)
        parents = {common_parent(each, own, rules.free_mail) for each in referred for own in code.domains} - {""}
        return f"both have addresses at {min(parents)}" if parents else ""


class UnknownMinimum(FraudRule):
    """The payment is in a currency for which no minimum is set."""

    only_review = True

    def reason(self, referral: Referral, code: Code, rules: Referrals) -> str:  # noqa: ARG002  the rules' signature
        payment = referral.payment
        return f"no minimum is set for payments in {payment.currency}" if payment and payment.needs_review else ""


class OutsideWindow(FraudRule):
    """The sign-up came before the code was given out, or too long after it was used.

    Where it counts from the last click and none is known before the sign-up, the code was used at the sign-up itself: a link
    that was passed on is good as long as the programme lives.
    """

    at_signup = True

    def reason(self, referral: Referral, code: Code, rules: Referrals) -> str:
        signed_up_at = referral.signup.at
        if signed_up_at < code.issued_at:
            return "signed up before the code was given out"
        start = code.issued_at
        if rules.attribution.counts_from == "last_click":
            # a click after the sign-up is somebody else's
            clicked = code.clicked_at
            start = clicked if clicked and code.issued_at <= clicked <= signed_up_at else signed_up_at
        late = signed_up_at - start > rules.attribution.within
        return f"signed up more than {in_words(rules.attribution.within)} after the code was used" if late else ""


FRAUD_RULES: tuple[FraudRule, ...] = (
    SelfReferral(),
    KnownAccount(),
    OwnEmail(),
    OwnUser(),
    SameCompany(),
    OutsideWindow(),
    SharedPeople(),
    SiblingDomain(),
    UnknownMinimum(),
)
"""Every rule, in the order in which they are asked: the first reason is the one that is shown."""


def fraud_reason(referral: Referral, code: Code, rules: Referrals) -> str:
    """Why this referral does not count; empty when no rule has anything against it."""
    asked = (rule for rule in FRAUD_RULES if not rule.at_signup or referral.status == "waiting")
    return next(
        (reason for rule in asked if not rule.only_review and (reason := rule.reason(referral, code, rules))), ""
    )


def review_reason(referral: Referral, code: Code, rules: Referrals) -> str:
    """Why a person must let the rewards of this referral out; empty when nothing is doubtful."""
    asked = (rule for rule in FRAUD_RULES if rule.only_review)
    return next((f"to review: {reason}" for rule in asked if (reason := rule.reason(referral, code, rules))), "")
