"""What is a referral made of? A sign-up that carried a code, the code, and the payment that makes it count."""

from datetime import datetime
from typing import Literal

import msgspec

Status = Literal["waiting", "attributed", "refused", "converted", "reversed"]

NEXT: dict[Status, tuple[Status, ...]] = {
    "waiting": ("attributed", "refused", "converted", "reversed"),
    "attributed": ("refused", "converted", "reversed"),
    "refused": (),
    "converted": ("reversed",),
    "reversed": (),
}


class Code(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A referral code somebody holds, with what is needed to see through a self-referral.

    `email` is normalised, `domains` are the company's own (no free mail), both as they were at the issue, so that
    the judgement does not depend on which partition was read first.
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


class Signup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A new account signed up with a code. `born` is when the account was first seen."""

    code: str
    at: datetime
    born: datetime
    event: str
    emails: tuple[str, ...] = ()
    history: bool = False


class Payment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first invoice the account paid. `refunded_at` is set when it was given back."""

    at: datetime
    event: str
    emails: tuple[str, ...] = ()
    refunded_at: datetime | None = None
    history: bool = False


class Referral(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One referred account: what we know of it, and how far it came. One row for each referred account.

    `waiting`: nobody we know holds the code (yet); `attributed`: signed up, has not paid; `refused`: see `reason`;
    `converted`: it counts; `reversed`: it counted until the money went back.
    """

    id: str
    account: str
    signup: Signup
    payment: Payment | None = None
    status: Status = "waiting"
    reason: str = ""
    converted_at: datetime | None = None

    @property
    def history(self) -> bool:
        """What was paid in an imported past, or not at all after an imported sign-up, is of the past."""
        return self.payment.history if self.payment else self.signup.history
