"""Reducer: an account and a message (or the passing of time) give the new account and the decisions.

`apply` first lets the time until the message pass, then takes the message in. So whether a timer or the next message
drives the clock, each due moment is decided at its own time, and how the log is cut into batches decides nothing. What fell
due before the wall clock took over belongs to the history.
"""

from collections.abc import Callable
from datetime import datetime
from typing import assert_never

from msgspec.structs import replace

from services.advocacy.core import asks, surveys
from services.advocacy.core.account import (
    Account,
    advance_clock,
    apply_consent_change,
    apply_contact_change,
    apply_snapshot,
)
from services.advocacy.core.decisions import AccountChange, Answer, Decision, DeliveryReported, FactRejected, Invitation
from services.advocacy.core.definitions import Definitions, Referrals
from services.advocacy.core.errors import Rejected
from services.advocacy.core.invitations import reported_invitation
from services.advocacy.core.referral import Payment, Referral, Refund, Signup, remember_refund
from services.advocacy.core.survey_kinds import Submission
from shared.contracts.advocacy import HistoryFollowed
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import (
    ClockAdvanced,
    ContactChanged,
    DecisionCorrected,
    FactObserved,
    FlagChanged,
    HealthChanged,
    LifecycleMessage,
    MailReported,
    MilestoneReached,
    SignalRaised,
    StageChanged,
)
from shared.contracts.outreach import ConsentChanged, OutreachMessage, OutreachRecorded
from shared.ids import derived
from shared.values import minor_digits, read_minor_units, read_number

OWN_ANSWER = "waymark"
"""Lifecycle's `via` on an answer to our own page, which comes back as a fact: it is recorded already."""


def apply(account: Account, message: LifecycleMessage | OutreachMessage, definitions: Definitions) -> AccountChange:
    """The account after this message, and the decisions. A lifecycle message that was applied before changes nothing."""
    match message:
        case OutreachRecorded():
            return _delivery_reported(account, message, definitions)
        case ConsentChanged():
            account, invited = surveys.retry_due(
                apply_consent_change(account, message), definitions, history=message.history, changed=message.user
            )
            account, closed = asks.withdraw(account, definitions.referrals)
            return account, [*invited, *closed]
        case _ if message.seq <= account.seq:
            return account, []
    account, due = advance(account, message.at, definitions, history=message.history or account.followed)
    account, decided = _apply_lifecycle(advance_clock(account, message), message, definitions)
    account, invited = surveys.start_surveys(account, message, definitions)
    account, retried = _retried_after(account, message, definitions)
    account = asks.note_candidate(account, message, definitions)
    account, asked = asks.reconsider(account, definitions, history=message.is_past)
    return account, [*due, *decided, *invited, *retried, *asked]


def is_followed(before: Account, message: LifecycleMessage | OutreachMessage, after: Account) -> bool:
    """Whether notify waits until it is told that this message was read (`HistoryFollowed`)."""
    told = before.followed or after.followed or isinstance(message, ClockAdvanced)
    return told and after.seq > before.seq


def history_followed(account: Account, decided_at: datetime) -> HistoryFollowed:
    """What notify is told when everything that this account's messages so far lead to was decided."""
    return HistoryFollowed(
        id=derived("history_followed", account.id, account.seq),
        account=account.id,
        at=account.clock,
        decided_at=decided_at,
        history=True,
        seq=account.seq,
    )


def _apply_lifecycle(account: Account, message: LifecycleMessage, definitions: Definitions) -> AccountChange:
    match message:
        case StageChanged() | FlagChanged() | SignalRaised() | MilestoneReached() | HealthChanged():
            return apply_snapshot(account, message.snapshot, definitions), []
        case ContactChanged():
            return apply_contact_change(account, message), []
        case FactObserved():
            return apply_fact(account, message, definitions)
        case ClockAdvanced():
            return replace(account, replaying=not message.live, followed=not message.live), []
        case DecisionCorrected() | MailReported():
            return account, []
        case _:
            assert_never(message)


def advance(account: Account, until: datetime, definitions: Definitions, *, history: bool = False) -> AccountChange:
    """Let the account's time pass, stopping at every moment at which something falls due."""
    decisions: list[Decision] = []
    while (due := next_due(account, definitions)) is not None and due <= until:
        account, invited = surveys.start_by_time(replace(account, clock=due), definitions, history=history)
        account, asked = asks.reconsider(account, definitions, history=history)
        decisions += [*invited, *asked]
    return account, decisions


def next_due(account: Account, definitions: Definitions) -> datetime | None:
    """The next moment at which time alone may change something, on the account's clock."""
    moments = [*surveys.due_times(account, definitions), *asks.due_times(account, definitions.referrals.ask)]
    return min((moment for moment in moments if moment > account.clock), default=None)


def timer(account: Account, definitions: Definitions) -> datetime | None:
    """When the wall clock must wake this account; None while an import drives it."""
    return next_due(account, definitions) if not account.replaying else None


def record_answer(
    account: Account,
    invitation: Invitation,
    previous: Answer | None,
    submission: Submission,
    definitions: Definitions,
    now: datetime,
) -> AccountChange:
    """Take an answer to a hosted survey; an open ask to a person who is no longer a promoter is withdrawn."""
    after, decided = surveys.record_answer(account, invitation, previous, submission, definitions, now)
    if not decided:
        return account, []
    after, closed = asks.withdraw(after, definitions.referrals)
    return after, [*decided, *closed]


def _retried_after(account: Account, message: LifecycleMessage, definitions: Definitions) -> AccountChange:
    """Surveys that were withheld, where the message may have removed the reason: a stage, or a person, is another one."""
    changed = message.user if isinstance(message, ContactChanged) else ""
    if not account.due_surveys or message.imported or not (changed or isinstance(message, StageChanged)):
        return account, []
    return surveys.retry_due(account, definitions, history=message.history, changed=changed)


def _delivery_reported(account: Account, message: OutreachRecorded, definitions: Definitions) -> AccountChange:
    invitation_id = reported_invitation(account, message, definitions)
    rules = definitions.referrals.ask
    account, closed = asks.note_report(asks.note_favour(account, message, rules), message, rules)
    if invitation_id is None:
        return account, closed
    report = DeliveryReported(
        account=account.id,
        at=message.at,
        history=message.history,
        id=invitation_id,
        status=message.status,
        reason=message.reason or "",
    )
    return surveys.note_report(account, message, definitions), [report, *closed]


def apply_fact(account: Account, message: FactObserved, definitions: Definitions) -> AccountChange:
    """Read a usage event: an answer, or a step of a referral. One that cannot be used is decided as FactRejected."""
    try:
        return _apply_fact(account, message, definitions)
    except Rejected as error:
        rejected = FactRejected(
            account=message.account,
            at=message.at,
            history=message.is_past,
            fact=message.fact,
            event=message.event,
            reason=error.reason,
        )
        return account, [rejected]


def _apply_fact(account: Account, message: FactObserved, definitions: Definitions) -> AccountChange:
    if message.trust == "browser":
        raise Rejected("forbidden", "a browser told it, whose key is public")
    kind = definitions.kind_of_fact(message.fact)
    if kind and message.properties.get("via") == OWN_ANSWER:
        return account, []
    if kind:
        return surveys.import_answer(account, message, kind)
    facts = definitions.referrals.facts
    reactions: dict[str, Callable[[Account, FactObserved, Definitions], AccountChange]] = {
        facts.signup: _signed_up,
        facts.paid: _paid,
        facts.refunded: _refunded,
        facts.code_issued: _code_issued,
    }
    reaction = reactions.get(message.fact)
    return reaction(account, message, definitions) if reaction else (account, [])


def _signed_up(account: Account, message: FactObserved, _definitions: Definitions) -> AccountChange:
    """The first sign-up counts: an account is referred once."""
    if account.signup:
        return account, []
    signup = Signup(
        code=_code_in(message),
        at=message.at,
        first_seen_at=account.first_seen_at or message.at,
        event=message.event,
        emails=_emails(account, message),
        users=_users(account, message),
        history=message.is_past,
    )
    return _with_referral(replace(account, signup=signup))


def _paid(account: Account, message: FactObserved, definitions: Definitions) -> AccountChange:
    """The earliest payment that reaches the minimum counts; refunds that came before it are remembered."""
    payment = _payment_in(account, message, definitions.referrals)
    if payment is None or (account.payment and account.payment.order <= payment.order):
        return account, []
    after, observed = _with_referral(replace(account, payment=payment))
    rejected = [
        FactRejected(
            account=account.id,
            at=refund.at,
            history=message.is_past,
            fact=definitions.referrals.facts.refunded,
            event=refund.event,
            reason=_in_another_currency(refund, payment),
        )
        for refund in account.refunds
        if refund.concerns(payment) and not refund.is_comparable(payment)
    ]
    return after, [*observed, *rejected]


def _payment_in(account: Account, message: FactObserved, rules: Referrals) -> Payment | None:
    """None for no payment, or one below the minimum. Raises Rejected for one that cannot be read."""
    given = message.properties.get("amount")
    if given is None:
        if account.signup:
            raise Rejected("invalid", "no amount")
        return None
    currency = _currency_in(message) or rules.rewards.currency
    if read_number(given) is None:
        raise Rejected("invalid", "the amount is no number")
    amount = read_minor_units(given, currency)
    if amount is None:
        raise Rejected("invalid", f"{given} is no amount of {currency}")
    least = rules.least_payment(currency)
    if amount <= 0 or (least is not None and amount < least):
        return None
    return Payment(
        at=message.at,
        event=message.event,
        invoice=_text_of(message.properties.get("invoice_id")),
        amount=amount,
        currency=currency,
        emails=_emails(account if account.signup else None, message),
        users=_users(account if account.signup else None, message),
        needs_review=least is None,
        history=message.is_past,
    )


def _refunded(account: Account, message: FactObserved, _definitions: Definitions) -> AccountChange:
    """A refund is remembered, whether its payment is known or not."""
    given = message.properties.get("amount")
    amount = None if given is None else read_number(given)
    if given is not None and amount is None:
        raise Rejected("invalid", "the amount is no number")
    if amount == 0:
        return account, []
    refund = Refund(
        id=_text_of(message.properties.get("refund_id")) or message.event,
        at=message.at,
        event=message.event,
        invoice=_text_of(message.properties.get("invoice_id")),
        amount=None if amount is None else abs(amount),
        currency=_currency_in(message),
    )
    payment = account.payment
    if payment and refund.concerns(payment) and not refund.is_comparable(payment):
        raise Rejected("invalid", _in_another_currency(refund, payment))
    return _with_referral(replace(account, refunds=remember_refund(account.refunds, refund, payment)))


def _in_another_currency(refund: Refund, payment: Payment) -> str:
    return f"given back in {refund.currency}, paid in {payment.currency}: take the reward back by hand if it must be"


def _currency_in(message: FactObserved) -> str:
    """Empty where none is named. Raises Rejected for what is no currency."""
    given = message.properties.get("currency")
    if given is None or given == "":
        return ""
    if minor_digits(given) is None:
        raise Rejected("invalid", f"the currency {given} has no three letters of ISO 4217")
    return str(given).strip().upper()


def _text_of(given: Value) -> str:
    """A name, be it a number; empty for none."""
    number = read_number(given) if isinstance(given, float) else None
    return "" if given is None or isinstance(given, bool) else str(given if number is None else number).strip()[:200]


def _code_issued(account: Account, message: FactObserved, definitions: Definitions) -> AccountChange:
    if not message.user:
        raise Rejected("invalid", "no user")
    if message.user in account.codes:
        return account, []
    code, rules = _code_in(message), definitions.referrals
    return asks.import_code(account, message.user, code, rules, message.at, history=message.is_past)


def _with_referral(account: Account) -> AccountChange:
    """The facts of this account as a referred one; the handlers store them and evaluate them (`attribution.py`)."""
    if account.signup is None:
        return account, []
    payment = account.payment
    referral = Referral(
        id=derived("referral", account.id),
        account=account.id,
        signup=account.signup,
        payment=payment,
        refunds=tuple(refund for refund in account.refunds if payment and refund.concerns(payment)),
    )
    return account, [referral]


def _code_in(message: FactObserved) -> str:
    """Raises Rejected where there is none."""
    text = message.properties.get("referral_code")
    code = asks.normalise_code(text) if isinstance(text, str) else ""
    if not code:
        raise Rejected("invalid", "no referral_code")
    return code


_ADDRESSES = (
    "email",
    "billing_email",
    "payer_email",
    "paid_by",
    "customer_email",
    "invoice_email",
    "receipt_email",
    "contact_email",
    "owner_email",
)
"""Properties of a sign-up or a payment that name a person of the referred account."""
_MAX_PEOPLE = 200


def _emails(account: Account | None, message: FactObserved) -> tuple[str, ...]:
    """The addresses that the event names, and those of the account's people."""
    named = [message.properties.get(name) for name in _ADDRESSES]
    told = {each for each in named if isinstance(each, str) and "@" in each}
    return tuple(sorted({*(account.emails[:_MAX_PEOPLE] if account else ()), *told}))


def _users(account: Account | None, message: FactObserved) -> tuple[str, ...]:
    """The user of the event, and the account's people."""
    known = sorted(account.contacts)[:_MAX_PEOPLE] if account else []
    return tuple(sorted({*known, *([message.user] if message.user else [])}))
