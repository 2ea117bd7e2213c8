"""Requests to refer others: who is asked and when, what withdraws a request, and the code that a person passes on.

The mail that asks is one to pass on: it carries the link of a code, reserved for this person and open to anybody. What only
the person may see and do (accept, decline, be named, be asked no more) is on a page of their own, whose link is never in it.
"""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from services.advocacy.core.account import ASK, Account, Ask, Contact
from services.advocacy.core.decisions import AccountChange, Decision, Invitation, InvitationClosed
from services.advocacy.core.definitions import AskRules, Definitions, Referrals
from services.advocacy.core.errors import Rejected
from services.advocacy.core.ledger import format_money
from services.advocacy.core.referral import Code, company_domains, normalise_email
from services.advocacy.core.reports import is_about, retry_after
from shared.contracts.advocacy import AdvocateOptedIn, AskStatus, NeverAskRequested
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import LifecycleMessage, SignalRaised
from shared.contracts.outreach import OutreachClass, OutreachRecorded
from shared.durations import in_words
from shared.ids import derived
from shared.machine import IllegalTransition
from shared.names import greeting_name

TOPIC: OutreachClass = "advocacy"
SURVEY_KIND = "nps"
"""The kind of answer that tells a promoter."""


def note_candidate(account: Account, message: LifecycleMessage, definitions: Definitions) -> Account:
    """Lifecycle may call the account a candidate for advocacy."""
    rules = definitions.referrals.ask
    if isinstance(message, SignalRaised) and message.signal == rules.signal and not message.imported:
        since = account.candidate_since if _has_signal(account, rules) else None
        return replace(account, candidate_at=account.clock, candidate_since=since or account.clock)
    return account


def reconsider(account: Account, definitions: Definitions, *, history: bool) -> AccountChange:
    """Withdraw the open request if its conditions no longer hold, then ask if nothing speaks against it."""
    rules = definitions.referrals
    account, closed = withdraw(account, rules)
    user = best_promoter(account, rules.ask)
    is_late = (
        history and not account.replaying
    )  # an import's message about an account that lives: nobody is asked by it
    if not rules.enabled or is_late or user is None or reasons_not_to_ask(account, rules.ask):
        return account, closed
    invitation = _invitation(account, user, definitions, history)
    ask = Ask(invitation.id, user, invitation.at, invitation.closes_at, history=history)
    recent = tuple(earlier for earlier in account.asks if not _past_every_cooldown(account, earlier, rules.ask))
    code = issue_code(account, user, invitation.code, rules, account.clock)
    reserved = [] if history else [replace(code, reserved=True)]
    after = account if history else replace(account, candidate_at=None, candidate_since=None)
    return replace(after, asks=(*recent, ask)), [*closed, *reserved, invitation]


def withdraw(account: Account, rules: Referrals) -> AccountChange:
    """Withdraw the open request where its account or its person no longer qualifies."""
    for ask in account.asks:
        reason = withdrawal_reason(account, ask, rules.ask) if ask.status == "open" else ""
        if reason:
            after, closed = resolve(account, ask, "withdrawn", reason, account.clock)
            return replace(after, candidate_at=None, candidate_since=None), closed
    return account, []


def resolve(account: Account, ask: Ask, status: AskStatus, reason: str, at: datetime) -> AccountChange:
    """The one way an ask's status changes. Raises Rejected where the table does not allow it."""
    try:
        after = replace(ask, status=ASK.transition(ask.status, status), resolved_at=at)
    except IllegalTransition:
        raise Rejected("forbidden", f"this invitation is {ask.status}") from None
    closed = InvitationClosed(account=account.id, at=at, history=ask.history, id=ask.id, status=status, reason=reason)
    return replace(account, asks=tuple(after if each.id == ask.id else each for each in account.asks)), [closed]


def reasons_not_to_ask(account: Account, rules: AskRules) -> list[str]:
    """Everything that speaks against asking now; empty when nothing does."""
    return [*_unfit(account, rules), *_cooldowns(account, rules)]


def _unfit(account: Account, rules: AskRules) -> Iterator[str]:
    if not is_candidate(account, rules):
        yield "is no candidate for advocacy"
    elif (due := _waited_until(account, rules)) is not None and due > account.clock:
        yield f"has been a candidate for less than {in_words(rules.wait)}: other favours come first"
    if account.band != "green" or (account.score is not None and account.score < rules.min_score):
        yield "is not healthy enough"
    yield from blocking_conditions(account, rules)
    if account.tenure < rules.min_tenure:
        yield f"has been a customer for less than {in_words(rules.min_tenure)}"
    if best_promoter(account, rules) is None:
        yield f"nobody who can be asked is a promoter of the last {in_words(rules.promoter_within)}"


def _cooldowns(account: Account, rules: AskRules) -> Iterator[str]:
    if any(account.clock < rests_until(ask, rules) for ask in _counting(account)):
        yield f"was asked within {in_words(rules.cooldown)}"
    if any(account.clock - at < rules.cooldown_after_decline for at in _declined_at(account)):
        yield f"declined within {in_words(rules.cooldown_after_decline)}"


def is_candidate(account: Account, rules: AskRules) -> bool:
    """Lifecycle says so: by the stage it is in, or by a recent signal."""
    return account.stage == rules.stage or _has_signal(account, rules)


def _has_signal(account: Account, rules: AskRules) -> bool:
    return account.candidate_at is not None and account.clock - account.candidate_at <= rules.candidate_for


def _waited_until(account: Account, rules: AskRules) -> datetime | None:
    """Until when the other favours come first: plays that ask for one start with the stage. None: they have had their time."""
    since = account.stage_since if account.stage == rules.stage else account.candidate_since
    return since + rules.wait if since is not None else None


def rests_until(ask: Ask, rules: AskRules) -> datetime:
    """How long nobody is asked again after this ask."""
    return ask.rests_until or ask.at + rules.cooldown


def _counting(account: Account) -> Iterator[Ask]:
    """The asks that count: what an import planned does only within that import."""
    return (ask for ask in account.asks if account.replaying or not ask.history)


def note_favour(account: Account, message: OutreachRecorded, rules: AskRules) -> Account:
    """Another play asked somebody for a favour: one such mail in a cooldown is enough."""
    if message.play == rules.play or message.outreach_class != TOPIC or message.status not in {"sent", "unknown"}:
        return account
    user, at = message.user or "", message.at
    recent = {who: when for who, when in account.favours.items() if account.clock - when < rules.cooldown}
    return replace(account, favours={**recent, user: max(at, recent.get(user, at))})


def note_report(account: Account, message: OutreachRecorded, rules: AskRules) -> AccountChange:
    """The rest begins when the mail was sent. One that was not sent is withdrawn, and asked again where the reason passes."""
    asked = (ask for ask in reversed(account.asks) if ask.user == message.user and is_about(message, ask.id))
    ask = next(asked, None) if message.play == rules.play else None
    if ask is None or ask.history:
        return account, []
    match message.status:
        case "sent" | "unknown":
            return _with_rest(account, ask, message.at + rules.cooldown), []
        case "previewed":
            return _with_rest(_candidate_again(account, ask, rules), ask, ask.at + rules.open), []
        case "skipped" if ask.status == "open":
            return _not_sent(account, ask, message, rules)
        case _:
            return account, []


def _not_sent(account: Account, ask: Ask, message: OutreachRecorded, rules: AskRules) -> AccountChange:
    at, after = max(message.at, account.clock), retry_after(message.status, message.reason or "")
    account, closed = resolve(account, ask, "withdrawn", f"was not sent: {message.reason}", at)
    if after is None:
        return account, closed
    withdrawn = next(each for each in account.asks if each.id == ask.id)
    return _with_rest(_candidate_again(account, ask, rules), withdrawn, at + after), closed


def _with_rest(account: Account, ask: Ask, until: datetime) -> Account:
    rested = replace(ask, rests_until=until)
    return replace(account, asks=tuple(rested if each.id == ask.id else each for each in account.asks))


def _candidate_again(account: Account, ask: Ask, rules: AskRules) -> Account:
    """The signal that led to the ask is not used up."""
    if account.candidate_at is not None:
        return account
    return replace(account, candidate_at=ask.at, candidate_since=ask.at - rules.wait)


def blocking_conditions(account: Account, rules: AskRules) -> Iterator[str]:
    """What forbids asking, and withdraws an open request."""
    urgent = account.metrics.get(rules.urgent_metric)
    if account.stage == "churned":
        yield "has churned"
    if "at_risk" in account.flags:
        yield "is at risk"
    if isinstance(urgent, int | float) and urgent > 0:
        yield "has an urgent ticket open"


def withdrawal_reason(account: Account, ask: Ask, rules: AskRules) -> str:
    """Why this open request must be withdrawn at once; empty while its conditions hold."""
    if account.band in {"yellow", "red"} or (account.score is not None and account.score < rules.exit_score):
        return "its health fell"
    if not account.contacts[ask.user].accepts(TOPIC):
        return "the person left or unsubscribed"
    answer = account.scores.get(ask.user, {}).get(SURVEY_KIND)
    if answer and answer.score < rules.promoter_score:
        return "the person is no longer a promoter"
    return next(blocking_conditions(account, rules), "")


def best_promoter(account: Account, rules: AskRules) -> str | None:
    """The promoter to ask: the highest score, then the latest, then the first by id. None where nobody may be asked."""
    ranked = [(-score, -at.timestamp(), user) for user, score, at in _promoters(account, rules)]
    return min(ranked)[2] if ranked else None


def _promoters(account: Account, rules: AskRules) -> Iterator[tuple[str, int, datetime]]:
    for user, scores in account.scores.items():
        contact, answer = account.contacts.get(user), scores.get(SURVEY_KIND)
        reachable = contact and contact.email and contact.accepts(TOPIC) and user not in account.codes
        favour = account.favours.get(user)
        if favour is not None and account.clock - favour < rules.cooldown:
            continue
        if reachable and answer and _promotes(account, answer.score, answer.at, rules):
            yield user, answer.score, answer.at


def _promotes(account: Account, score: int, at: datetime, rules: AskRules) -> bool:
    return score >= rules.promoter_score and account.clock - at <= rules.promoter_within


def _declined_at(account: Account) -> list[datetime]:
    return [ask.resolved_at for ask in account.asks if ask.status == "declined" and ask.resolved_at]


def due_times(account: Account, rules: AskRules) -> list[datetime]:
    """The moments at which time alone may remove a reason not to ask."""
    due: list[datetime] = [account.first_seen_at + rules.min_tenure] if account.first_seen_at else []
    due += [rests_until(ask, rules) for ask in account.asks]
    due += [at + rules.cooldown for at in account.favours.values()]
    waited = _waited_until(account, rules)
    due += [waited] if waited is not None else []
    return due + [at + rules.cooldown_after_decline for at in _declined_at(account)]


def _past_every_cooldown(account: Account, ask: Ask, rules: AskRules) -> bool:
    """Older than any rule looks back: it need not be remembered."""
    return account.clock - (ask.rests_until or ask.at) > rules.cooldown + rules.cooldown_after_decline + rules.open


def _invitation(account: Account, user: str, definitions: Definitions, history: bool) -> Invitation:
    rules = definitions.referrals
    return Invitation(
        id=derived("invitation", "referral", account.id, user, account.clock.isoformat()),
        purpose="referral",
        name="referral",
        account=account.id,
        user=user,
        play=rules.ask.play,
        outreach_class="advocacy",
        at=account.clock,
        closes_at=account.clock + rules.ask.open,
        cause="a promoter in good health",
        definition=definitions.versions.get("referrals", ""),
        history=history,
        values=_template_values(account, user, rules),
        code=derive_code(account.id, user),
        behind=account.seq,
    )


def _template_values(account: Account, user: str, rules: Referrals) -> dict[str, Value]:
    return {
        "name": account.contacts[user].name,
        "reward_referrer": format_money(rules.rewards.referrer, rules.rewards.currency),
        "reward_referred": format_money(rules.rewards.referred, rules.rewards.currency),
    }


def opt_in(
    account: Account, ask_id: str, rules: Referrals, now: datetime, attempt: int = 0, owned: str = ""
) -> AccountChange:
    """Accept. Raises Rejected when it is withdrawn. Accepting twice changes nothing: the code is in `account.codes`.

    A person who has a code already (`owned`: an earlier tool gave it out after we asked) keeps that one. When another
    account holds the new code, the caller throws this away and calls with the next `attempt`.
    """
    ask = _answerable_ask(account, ask_id)
    if ask.status == "accepted":
        return account, []
    account, closed = resolve(account, ask, "accepted", "opted in", now)
    if owned:
        return _with_code(account, ask.user, owned), [*closed, _opted_in(account, ask, owned, now)]
    code = issue_code(account, ask.user, derive_code(account.id, ask.user, attempt), rules, now)
    return _with_code(account, code.user, code.code), [*closed, code, _opted_in(account, ask, code.code, now)]


def decline(account: Account, ask_id: str, now: datetime) -> AccountChange:
    """Decline. Raises Rejected when it is withdrawn or was accepted. Declining twice changes nothing."""
    ask = _answerable_ask(account, ask_id)
    if ask.status == "declined":
        return account, []
    return resolve(account, ask, "declined", "declined", now)


def opt_out(account: Account, user: str, now: datetime) -> AccountChange:
    """Never ask this person again, until they subscribe to everything once more. What is open is declined.

    The other services are told: plays of notify that ask for a review, say, ask for a recommendation too.
    """
    closed: list[Decision] = [_never_ask(account, user, now)]
    for ask in account.asks:
        if ask.user == user and ask.status == "open":
            account, more = resolve(account, ask, "declined", "asked to be asked no more", now)
            closed += more
    contact = account.contacts.get(user, Contact())
    topics = tuple(sorted({*contact.unsubscribed_topics, TOPIC}))
    contacts = {**account.contacts, user: replace(contact, unsubscribed_topics=topics)}
    return replace(account, contacts=contacts), closed


def _never_ask(account: Account, user: str, now: datetime) -> NeverAskRequested:
    return NeverAskRequested(
        id=derived("never_ask_requested", account.id, user, now.isoformat()),
        account=account.id,
        at=now,
        decided_at=now,
        user=user,
        outreach_class=TOPIC,
    )


def latest_ask(account: Account, user: str) -> Ask | None:
    """The latest request to this person that is remembered."""
    return next((ask for ask in reversed(account.asks) if ask.user == user), None)


def _answerable_ask(account: Account, ask_id: str) -> Ask:
    """An answer is welcome as long as the programme lives, however old the mail is: a link that was passed on stays good too."""
    ask = account.find_ask(ask_id)
    if ask is None:
        raise Rejected("closed", "This invitation is from long ago, and we do not have it any more.")
    if ask.status == "withdrawn" or ask.history:
        raise Rejected("closed", "This invitation is no longer open: we do not ask for recommendations at the moment.")
    return ask


def _opted_in(account: Account, ask: Ask, code: str, now: datetime) -> AdvocateOptedIn:
    return AdvocateOptedIn(
        id=derived("advocate_opted_in", ask.id),
        account=account.id,
        at=now,
        decided_at=now,
        user=ask.user,
        code=code,
    )


def issue_code(account: Account, user: str, code: str, rules: Referrals, at: datetime) -> Code:
    """The code, with the address and the domains that fraud rules compare with, as they are now."""
    contact = account.contacts.get(user)
    return Code(
        code=code,
        account=account.id,
        user=user,
        issued_at=at,
        email=normalise_email(contact.email) if contact and contact.email else "",
        domains=company_domains(account.emails, rules.free_mail),
        users=tuple(sorted(account.contacts)[:_MAX_PEOPLE]),
        emails=tuple(sorted({*map(normalise_email, account.emails)})[:_MAX_PEOPLE]),
    )


_MAX_PEOPLE = 200
"""So many people of an account stand in its codes: the domains speak for the others."""


def import_code(
    account: Account, user: str, code: str, rules: Referrals, at: datetime, *, history: bool
) -> AccountChange:
    """A code that an earlier tool gave out: valid from now on, not published."""
    imported = replace(issue_code(account, user, code, rules, at), imported=True, history=history)
    return _with_code(account, imported.user, imported.code), [imported]


def _with_code(account: Account, user: str, code: str) -> Account:
    return replace(account, codes={**account.codes, user: code})


_LONGEST_NAME = 30


def first_name(full: str) -> str:
    """What strangers may call somebody of this name: `SMITH, Ann` is Ann. Empty where no first name is known: `Dr. Smith`, `Admin`."""
    name = greeting_name(full) or ""
    is_name = len(name) <= _LONGEST_NAME and all(letter.isalpha() or letter in "-'\u2019" for letter in name)
    return name if is_name else ""


CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""No 0/O, 1/I/L, U: nothing that is mistaken for something else when it is read out on the telephone."""

CODE_LENGTH = 7


def derive_code(account_id: str, user: str, attempt: int = 0) -> str:
    """The advocate's code; the next `attempt` gives another one when somebody already holds it."""
    number = UUID(derived("referral_code", account_id, user, attempt)).int
    letters = []
    for _ in range(CODE_LENGTH):
        number, letter = divmod(number, len(CODE_ALPHABET))
        letters.append(CODE_ALPHABET[letter])
    return "".join(letters)


def normalise_code(text: str) -> str:
    """A code as a person typed it: any case, with blanks and dashes."""
    return "".join(letter for letter in text.upper() if letter.isalnum())[:32]
