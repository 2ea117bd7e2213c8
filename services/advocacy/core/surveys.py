"""Surveys: which moment starts one, who is invited, and what they answer."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from services.advocacy.core.account import Account, Contact, DueSurvey, LastInvitation, record_score
from services.advocacy.core.decisions import AccountChange, Answer, Decision, Invitation, SurveyWithheld
from services.advocacy.core.definitions import Definitions, Survey, Trigger
from services.advocacy.core.errors import Rejected
from services.advocacy.core.reports import is_about, retry_after
from services.advocacy.core.survey_kinds import MAX_COMMENT_LENGTH, Submission, SurveyKind, parse_submission
from shared.contracts.advocacy import SurveyAnswered
from shared.contracts.lifecycle import (
    FactObserved,
    FlagChanged,
    LifecycleMessage,
    MilestoneReached,
    SignalRaised,
    StageChanged,
)
from shared.contracts.outreach import OutreachRecorded
from shared.durations import in_words
from shared.ids import derived

TOPIC = "survey"


def start_surveys(account: Account, message: LifecycleMessage, definitions: Definitions) -> AccountChange:
    """The surveys that this message starts."""
    decisions: list[Decision] = []
    for survey in definitions.surveys if not message.imported else ():
        cause = next((words for trigger in survey.on if (words := _cause(trigger, message))), "")
        if cause:
            account, more = invite(account, survey, message.id, cause, definitions, history=message.history)
            decisions += more
    return account, decisions


def _cause(trigger: Trigger, message: LifecycleMessage) -> str:
    """The trigger in words where the message is what it waits for, else empty."""
    match message:
        case StageChanged() if message.stage == trigger.stage and trigger.from_ in {None, message.previous}:
            return f"entered {message.stage}"
        case FlagChanged(raised=True) if message.flag == trigger.flag:
            return f"flag {message.flag}"
        case SignalRaised() if message.signal == trigger.signal:
            return f"signal {message.signal}"
        case MilestoneReached(corrected=False) if message.milestone == trigger.milestone:
            return f"milestone {message.milestone}"
    return ""


def due_times(account: Account, definitions: Definitions) -> Iterator[datetime]:
    """The moments at which time alone may start a survey, or remove the reason why one was withheld."""
    yield from (due.retry_at for due in account.due_surveys.values() if due.retry_at is not None)
    first_seen_at = account.first_seen_at
    if first_seen_at is None:
        return
    for trigger in (trigger for survey in definitions.surveys for trigger in survey.on):
        if trigger.tenure:
            yield first_seen_at + trigger.tenure
        if trigger.every:
            yield first_seen_at + (max(account.tenure, _NONE) // trigger.every + 1) * trigger.every


def start_by_time(account: Account, definitions: Definitions, *, history: bool) -> AccountChange:
    """The surveys whose tenure is reached, or that recur, exactly now on the account's clock; and those that stayed due."""
    decisions: list[Decision] = []
    for survey in definitions.surveys:
        for cause in (cause for trigger in survey.on if (cause := _time_cause(trigger, account.tenure))):
            account, more = invite(account, survey, cause, cause, definitions, history=history)
            decisions += more
    account, more = retry_due(account, definitions, history=history)
    return account, [*decisions, *more]


def _time_cause(trigger: Trigger, tenure: timedelta) -> str:
    if trigger.tenure and tenure == trigger.tenure:
        return _tenure_cause(trigger.tenure)
    if trigger.every and tenure > _NONE and not tenure % trigger.every:
        return f"every {in_words(trigger.every)}, {tenure // trigger.every}"
    return ""


def _tenure_cause(tenure: timedelta) -> str:
    """The tenure in words. Ids of invitations are derived from it."""
    return f"tenure of {in_words(tenure)}" if tenure.seconds else f"day {tenure.days}"


def invite(
    account: Account, survey: Survey, occurrence: str, cause: str, definitions: Definitions, *, history: bool
) -> AccountChange:
    """Invite the survey's recipients, or say why there are none. From whom it is withheld, it stays due."""
    account, decisions = _invite(
        account, survey, DueSurvey(account.clock, cause, occurrence, history=history), definitions
    )
    if not decisions:
        reason = select_recipients(account, survey).reason
        withheld = SurveyWithheld(
            account=account.id, at=account.clock, history=history, name=survey.name, cause=cause, reason=reason
        )
        return account, [withheld]
    return account, decisions


def _invite(account: Account, survey: Survey, due: DueSurvey, definitions: Definitions) -> AccountChange:
    """Invite whom this due survey may be asked now; whoever must wait stays due."""
    recipients = select_recipients(account, survey, due.users)
    version = definitions.versions.get(survey.name, "")
    since = due.since if due.since != account.clock else None
    invitations = [_invitation(account, survey, user, due, version) for user in recipients.users]
    room = survey.audience.max_recipients - len(invitations)
    waiting = _waiting(account, survey, due.users)
    for invitation in invitations:
        account = _record_invitation(account, invitation, since)
    others = {name: other for name, other in account.due_surveys.items() if name != survey.name}
    if not invitations or (waiting and room):
        users = (
            due.users
            if not invitations
            else tuple(sorted(waiting, key=lambda user: (_rank(account.contacts[user], survey), user))[:room])
        )
        others[survey.name] = replace(due, users=users, retry_at=min(waiting.values(), default=None))
    return replace(account, due_surveys=others), list(invitations)


def retry_due(account: Account, definitions: Definitions, *, history: bool, changed: str = "") -> AccountChange:
    """Ask what was withheld and may be asked by now; forget what was due too long ago, or in an import that is over.

    With `changed`, a user of whom something became known, only what this may make a difference to.
    """
    decisions: list[Decision] = []
    for name, due in account.due_surveys.items():
        survey = definitions.survey(name)
        if survey is None or account.clock - due.since > stays_due(survey) or (due.history and not account.replaying):
            kept = {other: each for other, each in account.due_surveys.items() if other != name}
            account = replace(account, due_surveys=kept)
        elif _may_be_asked(account, survey, due, changed):
            account, more = _invite(account, survey, replace(due, history=due.history or history), definitions)
            decisions += more
    return account, decisions


def _may_be_asked(account: Account, survey: Survey, due: DueSurvey, changed: str) -> bool:
    """Whether it is worth to look: an account may have many thousands of people."""
    if changed and not due.users:
        return changed in account.contacts and not reason_not_to_invite(account, changed, survey)
    return due.retry_at is None or due.retry_at <= account.clock


def stays_due(survey: Survey) -> timedelta:
    """How long a survey that was withheld stays due: longer than any rest of its own."""
    return max(survey.cooldown.same_survey, survey.cooldown.any_survey) + _STAYS_DUE


_NONE = timedelta()
_STAYS_DUE = timedelta(days=90)


def note_report(account: Account, message: OutreachRecorded, definitions: Definitions) -> Account:
    """What was sent counts from then on, what was not sent does not; what was withheld stays due.

    A report on an invitation that a later one has replaced only says that the survey reached the person. What an import
    planned is never sent: whether it was previewed in time or not decides nothing.
    """
    user = message.user or ""
    by_survey = account.last_invitations.get(user, {})
    for survey in (survey for survey in definitions.surveys if survey.play == message.play):
        last = by_survey.get(survey.name)
        if last is None or last.history:
            continue
        if message.status == "sent":
            last = replace(last, sent_at=max(message.at, last.sent_at or message.at))
        if is_about(message, last.id) and last.status != "sent":
            last = replace(last, status=message.status)
            account = _keep_due(account, survey, user, last, message)
        by_survey = {**by_survey, survey.name: last}
    return replace(account, last_invitations={**account.last_invitations, user: by_survey}) if by_survey else account


def _keep_due(account: Account, survey: Survey, user: str, last: LastInvitation, message: OutreachRecorded) -> Account:
    after = retry_after(message.status, message.reason or "")
    since = last.due_since or last.at
    if after is None or message.history or account.clock - since > stays_due(survey):
        return account
    retry_at, other = max(message.at, account.clock) + after, account.due_surveys.get(survey.name)
    users = {user, *(other.users if other else ())}
    due = DueSurvey(since, f"was withheld: {message.reason}", last.id, tuple(sorted(users)), retry_at)
    if other is not None and not other.users:
        return account
    return replace(account, due_surveys={**account.due_surveys, survey.name: due})


def _invitation(account: Account, survey: Survey, user: str, due: DueSurvey, version: str) -> Invitation:
    return Invitation(
        id=derived("invitation", survey.name, account.id, user, due.occurrence),
        purpose="survey",
        name=survey.name,
        account=account.id,
        user=user,
        play=survey.play,
        outreach_class="survey",
        at=account.clock,
        closes_at=account.clock + survey.open,
        cause=due.cause,
        definition=version,
        history=due.history,
        values={"survey": survey.name, "question": survey.question, "name": account.contacts[user].name},
        behind=account.seq,
    )


def _record_invitation(account: Account, invitation: Invitation, due_since: datetime | None) -> Account:
    """An import's invitation does not replace one of the living."""
    if invitation.history and not account.replaying:
        return account
    by_survey = account.last_invitations.get(invitation.user, {})
    before = by_survey.get(invitation.name)
    last = LastInvitation(
        invitation.id,
        invitation.at,
        sent_at=before.sent_at if before else None,
        due_since=due_since,
        history=invitation.history,
    )
    by_survey = {**by_survey, invitation.name: last}
    return replace(account, last_invitations={**account.last_invitations, invitation.user: by_survey})


class Recipients(NamedTuple):
    """The people to invite, in order; `reason` says why there are none."""

    users: tuple[str, ...]
    reason: str = ""


def select_recipients(account: Account, survey: Survey, among: tuple[str, ...] = ()) -> Recipients:
    """The first few who may be asked now, in the order of the survey's roles; `among` these, where some are named."""
    if account.stage in survey.never_in:
        return Recipients((), f"not sent in stage {account.stage}")
    users = [user for user in among if user in account.contacts] if among else account.contacts
    reasons = {user: reason_not_to_invite(account, user, survey) for user in users}
    eligible = [user for user, reason in reasons.items() if not reason]
    eligible.sort(key=lambda user: (_rank(account.contacts[user], survey), user))
    if eligible:
        return Recipients(tuple(eligible[: survey.audience.max_recipients]))
    return Recipients((), _summary_of(reasons.values()))


def reason_not_to_invite(account: Account, user: str, survey: Survey) -> str:
    """Why this person is not asked; empty when they may be."""
    return _unfit_reason(account, user, survey) or _cooldown_reason(account, user, survey)


def _unfit_reason(account: Account, user: str, survey: Survey) -> str:
    contact = account.contacts[user]
    if not contact.accepts(TOPIC):
        return "left or unsubscribed"
    if not contact.email:
        return "has no e-mail address"
    if survey.audience.roles and contact.role not in survey.audience.roles:
        return "has another role"
    return ""


def _cooldown_reason(account: Account, user: str, survey: Survey) -> str:
    same, anything = _last_asked(account, user, survey)
    if same and account.clock - same < survey.cooldown.same_survey:
        return f"was asked the same within {in_words(survey.cooldown.same_survey)}"
    if anything and account.clock - anything < survey.cooldown.any_survey:
        return f"was asked something within {in_words(survey.cooldown.any_survey)}"
    return ""


def _waiting(account: Account, survey: Survey, among: tuple[str, ...]) -> dict[str, datetime]:
    """Those whom nothing but a rest keeps from being asked now, and when it is over."""
    found: dict[str, datetime] = {}
    if account.stage in survey.never_in:
        return found
    for user in among or account.contacts:
        if user in account.contacts and not _unfit_reason(account, user, survey):
            same, anything = _last_asked(account, user, survey)
            ends = [same + survey.cooldown.same_survey] if same else []
            ends += [anything + survey.cooldown.any_survey] if anything else []
            if ends and max(ends) > account.clock:
                found[user] = max(ends)
    return found


def _last_asked(account: Account, user: str, survey: Survey) -> tuple[datetime | None, datetime | None]:
    """When this person last had this survey (or answered one of its kind elsewhere), and any survey."""
    scores = account.scores.get(user, {})
    asked = {
        name: at
        for name, last in account.last_invitations.get(user, {}).items()
        if (at := last.asked_at(replaying=account.replaying)) is not None
    }
    same = [asked[survey.name]] if survey.name in asked else []
    same += [scores[survey.kind].at] if survey.kind in scores else []
    anything = [*asked.values(), *(score.at for score in scores.values())]
    return max(same, default=None), max(anything, default=None)


def _rank(contact: Contact, survey: Survey) -> int:
    return survey.audience.roles.index(contact.role) if survey.audience.roles else 0


def _summary_of(reasons: Iterable[str]) -> str:
    counted = Counter(reasons)
    return "; ".join(f"{counted[reason]} {reason}" for reason in sorted(counted)) or "no contact is known"


def open_survey(invitation: Invitation, definitions: Definitions, now: datetime) -> Survey:
    """The survey of this invitation. Raises Rejected when its page no longer takes answers."""
    survey = definitions.survey(invitation.name)
    if survey is None:
        raise Rejected("closed", "This survey is over.")
    if now >= invitation.closes_at:
        raise Rejected("closed", f"This page closed on {invitation.closes_at:%d %B %Y}.")
    if invitation.history:
        raise Rejected("closed", "This invitation belongs to an imported past and was never sent.")
    return survey


def record_answer(
    account: Account,
    invitation: Invitation,
    previous: Answer | None,
    submission: Submission,
    definitions: Definitions,
    now: datetime,
) -> AccountChange:
    """Take an answer to a hosted survey. Raises Rejected when it has closed; the same answer once more changes nothing."""
    survey = open_survey(invitation, definitions, now)
    if previous and (previous.score, previous.comment) == (submission.score, submission.comment):
        return account, []
    answer = Answer(
        id=invitation.id,
        account=invitation.account,
        at=now,
        user=invitation.user,
        survey=invitation.name,
        survey_kind=survey.kind,
        score=submission.score,
        comment=submission.comment,
        revision=previous.revision + 1 if previous else 1,
        stage=account.stage,
    )
    return record_score(account, answer.user, answer.survey_kind, answer.score, now), [answer, _message(answer, now)]


def _message(answer: Answer, now: datetime) -> SurveyAnswered:
    return SurveyAnswered(
        id=derived("survey_answered", answer.id, answer.revision),
        account=answer.account,
        at=answer.at,
        decided_at=now,
        user=answer.user,
        survey=answer.survey,
        survey_kind=answer.survey_kind,
        score=float(answer.score),
        comment=answer.comment,
    )


def import_answer(account: Account, message: FactObserved, kind: SurveyKind) -> AccountChange:
    """An answer given elsewhere: recorded, not published (lifecycle has it from the same event). Raises Rejected."""
    comment = message.properties.get("comment")
    comment = comment[:MAX_COMMENT_LENGTH] if isinstance(comment, str) else ""
    submission = parse_submission(kind, message.properties.get("score"), comment)
    answer = Answer(
        id=derived("answer", message.event),
        account=account.id,
        at=message.at,
        history=message.is_past,
        user=message.user or "",
        survey=str(message.properties.get("survey") or kind.name),
        survey_kind=kind.name,
        score=submission.score,
        comment=submission.comment,
        stage=account.stage,
        imported=True,
    )
    if answer.user:
        account = record_score(account, answer.user, kind.name, answer.score, answer.at)
    return account, [answer]
