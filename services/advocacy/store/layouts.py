"""Layouts of what advocacy stores as blobs: accounts, invitations, codes, referrals and rewards."""

from typing import Any

from services.advocacy.core.account import Account
from services.advocacy.core.decisions import Invitation
from services.advocacy.core.ledger import Reward
from services.advocacy.core.referral import Code, Referral
from shared.db.layouts import Layouts, renamed

_signup_2 = renamed(born="first_seen_at")
_ask_2 = renamed(settled_at="resolved_at")
_contact_2 = renamed(refused="unsubscribed_topics")
_account_2 = renamed(born="first_seen_at", sent="last_invitations")


def _account_names(plain: dict[str, Any]) -> dict[str, Any]:
    """Fields by the field's names. `live` became its opposite, as the column says it: replaying."""
    plain = _account_2({"replaying": not plain.pop("live", False), **plain})
    plain["contacts"] = {user: _contact_2(contact) for user, contact in plain.get("contacts", {}).items()}
    plain["asks"] = [_ask_2(ask) for ask in plain.get("asks", ())]
    return _signup_names(plain)


def _signup_names(plain: dict[str, Any]) -> dict[str, Any]:
    """A sign-up's `born` became `first_seen_at`."""
    return {**plain, "signup": _signup_2(plain["signup"])} if plain.get("signup") else plain


ACCOUNTS = Layouts(Account, 2, {1: _account_names})
INVITATIONS = Layouts(Invitation, 1)
CODES = Layouts(Code, 1)
REFERRALS = Layouts(Referral, 2, {1: _signup_names})
REWARDS = Layouts(Reward, 1)
