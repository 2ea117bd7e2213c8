"""What an earlier version stored is read with every field that was renamed since."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from services.advocacy.core.account import Account, Ask, Contact, LastInvitation
from services.advocacy.core.referral import Referral, Signup
from services.advocacy.store.accounts import ACCOUNTS
from services.advocacy.store.invitations import INVITATIONS
from services.advocacy.store.referrals import CODES, REFERRALS, REWARDS

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
SIGNUP = {"code": "ABC2DEF", "at": AT, "born": AT, "event": "e"}
ACCOUNT_1 = {
    "id": "acme",
    "clock": AT,
    "born": AT,
    "live": True,
    "contacts": {"ann": {"email": "ann@acme.example", "refused": ["survey"]}, "bob": {}},
    "sent": {"ann": {"nps": {"id": "i", "at": AT}}},
    "asks": [{"id": "a", "user": "ann", "at": AT, "closes_at": AT, "status": "declined", "settled_at": AT}],
    "signup": SIGNUP,
}


def stored(plain: Any) -> bytes:
    """As the first layout was stored: without a mark."""
    return msgspec.msgpack.encode(plain)


def test_every_renamed_field_of_an_account_is_read():
    assert ACCOUNTS.decode(stored(ACCOUNT_1)) == Account(
        id="acme",
        clock=AT,
        first_seen_at=AT,
        replaying=False,
        contacts={"ann": Contact(email="ann@acme.example", unsubscribed_topics=("survey",)), "bob": Contact()},
        last_invitations={"ann": {"nps": LastInvitation("i", AT)}},
        asks=(Ask("a", "ann", AT, AT, "declined", AT),),
        signup=Signup(code="ABC2DEF", at=AT, first_seen_at=AT, event="e"),
    )


def test_an_account_that_an_import_drove_is_still_replaying():
    assert ACCOUNTS.decode(stored({"id": "acme"})) == Account(id="acme", replaying=True)


def test_the_renamed_field_of_a_referral_is_read():
    referral = REFERRALS.decode(stored({"id": "r", "account": "newco", "signup": SIGNUP, "status": "attributed"}))
    assert referral == Referral(
        id="r",
        account="newco",
        signup=Signup(code="ABC2DEF", at=AT, first_seen_at=AT, event="e"),
        status="attributed",
    )


@pytest.mark.parametrize("layouts", [ACCOUNTS, INVITATIONS, CODES, REFERRALS, REWARDS])
def test_an_unknown_field_is_an_error_and_not_dropped(layouts: Any):
    with pytest.raises(msgspec.ValidationError, match="unknown field `later`"):
        layouts.decode(layouts.encode(ACCOUNTS.decode(stored({"id": "acme"})))[:2] + stored({"later": 1}))
