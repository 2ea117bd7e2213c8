"""Surveys: which moment starts one, who is invited, and what they answer."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from services.advocacy.core.account import Account, Contact, LastInvitation, record_score
from services.advocacy.core.decisions import AccountChange, Answer, Decision, Invitation, SurveyWithheld
from services.advocacy.core.definitions import Definitions, Survey, Trigger
from services.advocacy.core.errors import Rejected
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
from shared.durations import in_words
from shared.ids import derived

TOPIC = "survey"


def start_surveys(account: Account, message: LifecycleMessage, definitions: Definitions) -> AccountChange:
    """The surveys that this message starts."""
    decisions: list[Decision] = []
    for survey in definitions.surveys:
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


def tenure_due_times(account: Account, definitions: Definitions) -> list[datetime]:
    """The moments at which some survey's tenure is reached."""
    first_seen_at = account.first_seen_at
    if first_seen_at is None:
        return []
    return [first_seen_at + trigger.tenure for survey in definitions.surveys for trigger in survey.on if trigger.tenure]


def start_tenure_surveys(account: Account, definitions: Definitions, *, history: bool) -> AccountChange:
    """The surveys whose tenure is reached exactly now on the account's clock."""
    decisions: list[Decision] = []
    for survey in definitions.surveys:
        for trigger in survey.on:
            if trigger.tenure and account.tenure == trigger.tenure:
                cause = _tenure_cause(trigger.tenure)
                account, more = invite(account, survey, cause, cause, definitions, history=history)
                decisions += more
    return account, decisions


def _tenure_cause(tenure: timedelta) -> str:
    """The tenure in words. Ids of invitations are derived from it."""
    return f"tenure of {in_words(tenure)}" if tenure.seconds else f"day {tenure.days}"


def invite(
    account: Account, survey: Survey, occurrence: str, cause: str, definitions: Definitions, *, history: bool
) -> AccountChange:
    """Invite the survey's recipients, or say why there are none."""
    recipients = select_recipients(account, survey)
    if not recipients.users:
        reason = recipients.reason
        withheld = SurveyWithheld(
            account=account.id, at=account.clock, history=history, name=survey.name, cause=cause, reason=reason
        )
        return account, [withheld]
    version = definitions.versions.get(survey.name, "")
    invitations = [_invitation(account, survey, user, occurrence, cause, version, history) for user in recipients.users]
    for invitation in invitations:
        account = _record_invitation(account, invitation)
    return account, list(invitations)


def _invitation(
    account: Account, survey: Survey, user: str, occurrence: str, cause: str, version: str, history: bool
) -> Invitation:
    return Invitation(
        id=derived("invitation", survey.name, account.id, user, occurrence),
        purpose="survey",
        name=survey.name,
        account=account.id,
        user=user,
        play=survey.play,
        outreach_class="survey",
        at=account.clock,
        closes_at=account.clock + survey.open,
        cause=cause,
        definition=version,
        history=history,
        values={"survey": survey.name, "question": survey.question, "name": account.contacts[user].name},
    )


def _record_invitation(account: Account, invitation: Invitation) -> Account:
    by_survey = account.last_invitations.get(invitation.user, {})
    by_survey = {**by_survey, invitation.name: LastInvitation(invitation.id, invitation.at)}
    return replace(account, last_invitations={**account.last_invitations, invitation.user: by_survey})


class Recipients(NamedTuple):
    """The people to invite, in order; `reason` says why there are none."""

    users: tuple[str, ...]
    reason: str = ""


def select_recipients(account: Account, survey: Survey) -> Recipients:
    """The first few who may be asked now, in the order of the survey's roles."""
    if account.stage in survey.never_in:
        return Recipients((), f"not sent in stage {account.stage}")
    reasons = {user: reason_not_to_invite(account, user, survey) for user in account.contacts}
    eligible = [user for user, reason in reasons.items() if not reason]
    eligible.sort(key=lambda user: (_rank(account.contacts[user], survey), user))
    if eligible:
        return Recipients(tuple(eligible[: survey.audience.max_recipients]))
    return Recipients((), _summary_of(reasons.values()))


def reason_not_to_invite(account: Account, user: str, survey: Survey) -> str:
    """Why this person is not asked; empty when they may be."""
    contact = account.contacts[user]
    if not contact.accepts(TOPIC):
        return "left or unsubscribed"
    if not contact.email:
        return "has no e-mail address"
    if survey.audience.roles and contact.role not in survey.audience.roles:
        return "has another role"
    return _cooldown_reason(account, user, survey)


def _cooldown_reason(account: Account, user: str, survey: Survey) -> str:
    same, anything = _last_asked(account, user, survey)
    if same and account.clock - same < survey.cooldown.same_survey:
        return f"was asked the same within {in_words(survey.cooldown.same_survey)}"
    if anything and account.clock - anything < survey.cooldown.any_survey:
        return f"was asked something within {in_words(survey.cooldown.any_survey)}"
    return ""


def _last_asked(account: Account, user: str, survey: Survey) -> tuple[datetime | None, datetime | None]:
    """When this person last had this survey (or answered one of its kind elsewhere), and any survey."""
    invitations, scores = account.last_invitations.get(user, {}), account.scores.get(user, {})
    same = [invitations[survey.name].at] if survey.name in invitations else []
    same += [scores[survey.kind].at] if survey.kind in scores else []
    anything = [invitation.at for invitation in invitations.values()] + [score.at for score in scores.values()]
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
        history=message.history,
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
