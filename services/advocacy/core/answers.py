"""What did this person answer? One row an invitation, which may be changed until it closes."""

from datetime import datetime

from services.advocacy.core.account import Account
from services.advocacy.core.asking import withdrawn
from services.advocacy.core.decisions import Answer, Invitation, Step
from services.advocacy.core.definitions import Definitions, Survey
from services.advocacy.core.kinds import COMMENT_LIMIT, Ballot, Kind, ballot
from services.advocacy.core.known import answered
from services.advocacy.core.refusal import Refused
from shared.contracts.advocacy import SurveyAnswered
from shared.contracts.lifecycle import FactObserved
from shared.ids import derived


def answer(
    account: Account,
    invitation: Invitation,
    previous: Answer | None,
    given: Ballot,
    definitions: Definitions,
    now: datetime,
) -> Step:
    """Take an answer to a hosted survey. Raises Refused when it has closed; saying the same again changes nothing."""
    survey = open_survey(invitation, definitions, now)
    if previous and (previous.score, previous.comment) == (given.score, given.comment):
        return account, []
    row = _row(account, invitation, previous, given, survey, now)
    account = answered(account, row.user, row.survey_kind, row.score, now)
    account, closed = withdrawn(account, definitions.referrals)
    return account, [row, _message(row, now), *closed]


def open_survey(invitation: Invitation, definitions: Definitions, now: datetime) -> Survey:
    """The survey of this invitation. Raises Refused when its page no longer takes answers."""
    survey = definitions.survey(invitation.name)
    if survey is None:
        raise Refused("closed", "This survey is over.")
    if now >= invitation.closes_at:
        raise Refused("closed", f"This page closed on {invitation.closes_at:%d %B %Y}.")
    if invitation.history:
        raise Refused("closed", "This invitation belongs to an imported past and was never sent.")
    return survey


def _row(
    account: Account, invitation: Invitation, previous: Answer | None, given: Ballot, survey: Survey, now: datetime
) -> Answer:
    return Answer(
        id=invitation.id,
        account=invitation.account,
        at=now,
        user=invitation.user,
        survey=invitation.name,
        survey_kind=survey.kind,
        score=given.score,
        comment=given.comment,
        revision=previous.revision + 1 if previous else 1,
        stage=account.stage,
    )


def _message(row: Answer, now: datetime) -> SurveyAnswered:
    return SurveyAnswered(
        id=derived("survey_answered", row.id, row.revision),
        account=row.account,
        at=row.at,
        decided_at=now,
        user=row.user,
        survey=row.survey,
        survey_kind=row.survey_kind,
        score=float(row.score),
        comment=row.comment,
    )


def imported(account: Account, message: FactObserved, kind: Kind) -> Step:
    """An answer given elsewhere: recorded, and not published again (lifecycle has it from the same event)."""
    row = _imported_row(account, message, kind)
    known = answered(account, row.user, kind.name, row.score, row.at) if row.user else account
    return known, [row]


def _imported_row(account: Account, message: FactObserved, kind: Kind) -> Answer:
    """Raises Refused where the event holds no answer."""
    comment = message.properties.get("comment")
    given = ballot(kind, message.properties.get("score"), comment[:COMMENT_LIMIT] if isinstance(comment, str) else "")
    return Answer(
        id=derived("answer", message.event),
        account=account.id,
        at=message.at,
        history=message.history,
        user=message.user or "",
        survey=str(message.properties.get("survey") or kind.name),
        survey_kind=kind.name,
        score=given.score,
        comment=given.comment,
        stage=account.stage,
        imported=True,
    )
