"""Referrals: the code of an advocate, a sign-up with it, the payment that makes it count, and the statuses in between."""

from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal
from email.utils import parseaddr
from typing import get_args

import msgspec

from shared.contracts.advocacy import ReferralStatus
from shared.machine import StatusMachine
from shared.values import major_units

REFERRAL: StatusMachine[ReferralStatus] = StatusMachine(
    "referral",
    get_args(ReferralStatus),
    {
        "waiting": {"attributed", "refused", "converted", "reversed"},
        "attributed": {"refused", "converted", "reversed"},
        "refused": set(),
        "converted": {"reversed"},
        "reversed": {"converted"},
    },
)


class Code(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """A referral code that somebody holds, with what fraud rules compare a sign-up with.

    `reserved`: it stands in a mail to this person, who has not said yes (yet); whoever signs up with it counts all the same.
    `shown_name` is what the landing page calls the holder: empty until they agree to that. `email` is normalised, `domains` are the company's own (no free mail), `users` and `emails` (normalised) are the
    account's people; all as they were at the issue, so that the verdict does not depend on which partition was read first.
    """

    code: str
    account: str
    user: str
    issued_at: datetime
    email: str = ""
    domains: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    clicked_at: datetime | None = None
    imported: bool = False
    history: bool = False
    reserved: bool = False
    shown_name: str = ""
    page_mailed_at: datetime | None = None

    @property
    def at(self) -> datetime:
        return self.issued_at

    def is_held_by_the_same(self, other: "Code") -> bool:
        """Whether both are this person's."""
        return (self.account, self.user) == (other.account, other.user)


class Signup(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """A new account signed up with a code. `first_seen_at` is when the account was first seen."""

    code: str
    at: datetime
    first_seen_at: datetime
    event: str
    emails: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    history: bool = False


class Payment(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """The earliest payment that reaches the minimum. `amount` is in minor units of `currency`.

    A payment that an earlier version stored has no amount, and `refunded_at` when its money was given back.
    `needs_review`: no minimum is set for its currency.
    """

    at: datetime
    event: str
    invoice: str = ""
    amount: int | None = None
    currency: str = ""
    emails: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    refunded_at: datetime | None = None
    needs_review: bool = False
    history: bool = False

    @property
    def order(self) -> tuple[bool, datetime, str]:
        """The least of several payments is the one that counts, in whatever order they become known."""
        return self.needs_review, self.at, self.event


class Refund(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """Money that was given back, perhaps before its payment became known. `amount` is in whole units, None is everything.

    `currency` is empty where the event named none: it is then the payment's.
    """

    id: str
    at: datetime
    event: str
    invoice: str = ""
    amount: int | float | None = None
    currency: str = ""

    def concerns(self, payment: Payment) -> bool:
        """Whether it may be of this payment: where one of the two names no invoice, nobody can say that it is not."""
        return not self.invoice or not payment.invoice or self.invoice == payment.invoice

    def is_comparable(self, payment: Payment) -> bool:
        """Whether it is in the payment's currency: there are no exchange rates here."""
        return not self.currency or not payment.currency or self.currency == payment.currency


MAX_REFUNDS = 50
"""So many refunds of an account are remembered."""


def remember_refund(refunds: tuple[Refund, ...], new: Refund, payment: Payment | None) -> tuple[Refund, ...]:
    """The refunds by time, each once. Above MAX_REFUNDS the oldest goes, one of another invoice than the payment's first."""
    if any(refund.id == new.id for refund in refunds):
        return refunds
    ordered = sorted((*refunds, new), key=lambda refund: (refund.at, refund.event))
    if len(ordered) > MAX_REFUNDS:
        others = (refund for refund in ordered if payment is None or not refund.concerns(payment))
        ordered.remove(next(others, ordered[0]))
    return tuple(ordered)


def refunded_share(payment: Payment, refunds: Iterable[Refund], until: datetime) -> Decimal:
    """The share of the payment that was given back until then, all part refunds together: 1 is everything."""
    counted = [each for each in refunds if each.at <= until and each.concerns(payment) and each.is_comparable(payment)]
    if not counted:
        return Decimal(0)
    if payment.amount is None or any(each.amount is None for each in counted):
        return Decimal(1)
    given_back = sum((Decimal(str(each.amount)) for each in counted), Decimal(0))
    return given_back / major_units(payment.amount, payment.currency)


class Referral(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """A referred account: the facts about it, and its status. There is one row for each referred account.

    `waiting`: nobody we know holds the code (yet); `attributed`: signed up, has not paid; `refused`: see `reason`;
    `converted`: it counts (`reason`: why its rewards wait for a review); `reversed`: the money went back.
    """

    id: str
    account: str
    signup: Signup
    payment: Payment | None = None
    refunds: tuple[Refund, ...] = ()
    status: ReferralStatus = "waiting"
    reason: str = ""
    converted_at: datetime | None = None

    @property
    def emails(self) -> set[str]:
        """The addresses of the referred account's people and payer."""
        return {*self.signup.emails, *(self.payment.emails if self.payment else ())}

    @property
    def users(self) -> set[str]:
        """The user ids of the referred account's people."""
        return {*self.signup.users, *(self.payment.users if self.payment else ())}

    @property
    def history(self) -> bool:
        """A payment in an imported past, or an imported sign-up without any payment, belongs to the past."""
        return self.payment.history if self.payment else self.signup.history

    @property
    def qualified_at(self) -> datetime:
        """When it came to count: signed up and paid."""
        return max(self.signup.at, self.payment.at) if self.payment else self.signup.at

    @property
    def cap_month(self) -> str:
        """The month in which it counts against the referrer's cap."""
        return f"{self.qualified_at:%Y-%m}"


def record_click(code: Code, now: datetime) -> Code:
    """Somebody followed the advocate's link on purpose (a POST: scanners fetch links too)."""
    return msgspec.structs.replace(code, clicked_at=max(now, code.clicked_at or now))


def signup_address(signup_url: str, code: str) -> str:
    """Where somebody with this code signs up; empty where the company names no address."""
    return f"{signup_url}{'&' if '?' in signup_url else '?'}referral_code={code}" if signup_url else ""


_DOTLESS_DOMAINS = {"gmail.com", "googlemail.com"}
"""Dots in the local part mean nothing there."""


def normalise_email(email: str) -> str:
    """The mailbox behind an address: case, a display name, a +tag, and Gmail's dots do not make another one."""
    local, domain = _split(email)
    local = local.split("+", 1)[0]
    if domain in _DOTLESS_DOMAINS:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


def domain_of(email: str) -> str:
    """The domain of an address, in lower case, an international one in its ASCII form."""
    return _split(email)[1]


def _split(email: str) -> tuple[str, str]:
    address = parseaddr(email)[1] if "<" in email else email
    local, _, domain = address.strip().lower().rpartition("@")
    domain = domain.rstrip(".")
    try:
        return local, domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        return local, domain


def company_domains(emails: Iterable[str], free_mail: Collection[str]) -> tuple[str, ...]:
    """The domains that name a company: a shared provider's says nothing about who works where."""
    return tuple(sorted({domain_of(email) for email in emails if "@" in email} - set(free_mail)))


_REGISTRY_LABELS = frozenset(
    [
        "ac",
        "asn",
        "biz",
        "co",
        "com",
        "edu",
        "gen",
        "go",
        "gob",
        "gouv",
        "gov",
        "govt",
        "gv",
        "id",
        "ind",
        "inf",
        "info",
        "ltd",
        "me",
        "mil",
        "mod",
        "ne",
        "net",
        "nhs",
        "nic",
        "nom",
        "or",
        "org",
        "plc",
        "police",
        "priv",
        "sch",
        "school",
        "sci",
        "web",
    ]
)
"""What registries put before a country's domain: `example.co.uk` is a company, `co.uk` is none."""


def is_same_domain(one: str, other: str) -> bool:
    """Whether they are equal, or one is a subdomain of the other: `eu.acme.com` is acme.com's."""
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def common_parent(one: str, other: str, free_mail: Collection[str]) -> str:
    """The domain above both that may be a company's: acme.com for `eu.acme.com` and `us.acme.com`; empty for none.

    It is a guess: there is no list of public suffixes here. So it is a reason to look, never one to refuse.
    """
    shared: list[str] = []
    for left, right in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if left != right:
            break
        shared.insert(0, left)
    parent = ".".join(shared)
    is_public = len(shared) < 2 or (len(shared) == 2 and len(shared[1]) == 2 and shared[0] in _REGISTRY_LABELS)
    return "" if is_public or parent in free_mail else parent
