"""What does the person say to our ask? Opting in gives a code, declining gives peace."""

from datetime import datetime

from msgspec.structs import replace

from services.advocacy.core.account import Account, Ask
from services.advocacy.core.asking import settled
from services.advocacy.core.codes import code_of
from services.advocacy.core.decisions import Step
from services.advocacy.core.definitions import Referrals
from services.advocacy.core.emails import company_domains, normalised
from services.advocacy.core.referral import Code
from services.advocacy.core.refusal import Refused
from shared.contracts.advocacy import AdvocateOptedIn
from shared.ids import derived


def opt_in(account: Account, ask: str, rules: Referrals, now: datetime, attempt: int = 0, held: str = "") -> Step:
    """Accept. Raises Refused when it is closed. Accepting again changes nothing: the code is in `account.codes`.

    Who holds a code already (`held`: an earlier tool gave it out after we asked) keeps that one. When another account
    holds the new code, the shell throws this away and calls with the next `attempt`.
    """
    known = _open(account, ask, now)
    if known.status == "accepted":
        return account, []
    account, closed = settled(account, known, "accepted", "opted in", now)
    if held:
        return _with_code(account, known.user, held), [*closed, _message(account, known, held, now)]
    code = code_of(account.id, known.user, attempt)
    row = issued(account, known.user, code, rules, now)
    return _with_code(account, row.user, row.code), [*closed, row, _message(account, known, code, now)]


def decline(account: Account, ask: str, now: datetime) -> Step:
    """Say no. Raises Refused when it is closed or was accepted. Saying no again changes nothing."""
    known = _open(account, ask, now)
    if known.status == "declined":
        return account, []
    return settled(account, known, "declined", "declined", now)


def _open(account: Account, ask: str, now: datetime) -> Ask:
    known = account.asked(ask)
    if known is None:
        raise Refused("closed", "This invitation is not known.")
    if known.status == "withdrawn" or known.history or (known.status != "accepted" and now >= known.closes_at):
        raise Refused("closed", "This invitation is no longer open.")
    return known


def issued(account: Account, user: str, code: str, rules: Referrals, at: datetime) -> Code:
    """The code with what tells a self-referral, as it is known now."""
    contact = account.contacts.get(user)
    return Code(
        code=code,
        account=account.id,
        user=user,
        issued_at=at,
        email=normalised(contact.email) if contact and contact.email else "",
        domains=company_domains(account.emails, rules.free_mail),
    )


def _with_code(account: Account, user: str, code: str) -> Account:
    return replace(account, codes={**account.codes, user: code})


def brought(account: Account, user: str, code: str, rules: Referrals, at: datetime, *, history: bool) -> Step:
    """A code that an earlier tool gave out: known from now on, not published."""
    row = replace(issued(account, user, code, rules, at), imported=True, history=history)
    return _with_code(account, row.user, row.code), [row]


def _message(account: Account, ask: Ask, code: str, now: datetime) -> AdvocateOptedIn:
    return AdvocateOptedIn(
        id=derived("advocate_opted_in", ask.id),
        account=account.id,
        at=now,
        decided_at=now,
        user=ask.user,
        code=code,
    )
