"""Referrals: the code of an advocate, a sign-up with it, the payment that makes it count, and the statuses in between."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import get_args

import msgspec

from shared.contracts.advocacy import ReferralStatus
from shared.machine import StatusMachine

REFERRAL: StatusMachine[ReferralStatus] = StatusMachine(
    "referral",
    get_args(ReferralStatus),
    {
        "waiting": {"attributed", "refused", "converted", "reversed"},
        "attributed": {"refused", "converted", "reversed"},
        "refused": set(),
        "converted": {"reversed"},
        "reversed": set(),
    },
)


class Code(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """A referral code that somebody holds, with what fraud rules compare a sign-up with.

    `email` is normalised, `domains` are the company's own (no free mail), both as they were at the issue, so that
    the verdict does not depend on which partition was read first.
    """

    code: str
    account: str
    user: str
    issued_at: datetime
    email: str = ""
    domains: tuple[str, ...] = ()
    clicked_at: datetime | None = None
    imported: bool = False
    history: bool = False

    @property
    def at(self) -> datetime:
        return self.issued_at


class Signup(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """A new account signed up with a code. `first_seen_at` is when the account was first seen."""

    code: str
    at: datetime
    first_seen_at: datetime
    event: str
    emails: tuple[str, ...] = ()
    history: bool = False


class Payment(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """The first invoice that the account paid. `refunded_at` is set when the money was given back."""

    at: datetime
    event: str
    emails: tuple[str, ...] = ()
    refunded_at: datetime | None = None
    history: bool = False


class Referral(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """A referred account: the facts about it, and its status. There is one row for each referred account.

    `waiting`: nobody we know holds the code (yet); `attributed`: signed up, has not paid; `refused`: see `reason`;
    `converted`: it counts; `reversed`: it counted until the money went back.
    """

    id: str
    account: str
    signup: Signup
    payment: Payment | None = None
    status: ReferralStatus = "waiting"
    reason: str = ""
    converted_at: datetime | None = None

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


_DOTLESS_DOMAINS = {"gmail.com", "googlemail.com"}
"""Dots in the local part mean nothing there."""


def normalise_email(email: str) -> str:
    """The mailbox behind an address: case, a +tag, and Gmail's dots do not make another one."""
    local, _, domain = email.strip().lower().rpartition("@")
    local = local.split("+", 1)[0]
    if domain in _DOTLESS_DOMAINS:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


def domain_of(email: str) -> str:
    return email.strip().lower().rpartition("@")[2]


def company_domains(emails: Iterable[str], free_mail: Collection[str]) -> tuple[str, ...]:
    """The domains that name a company: a shared provider's says nothing about who works where."""
    return tuple(sorted({domain_of(email) for email in emails if "@" in email} - set(free_mail)))
