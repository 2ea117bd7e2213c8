"""Which survey does this moment start, and who gets it?"""

from datetime import datetime

from msgspec.structs import replace

from services.advocacy.core.account import Account, Sent
from services.advocacy.core.audience import chosen
from services.advocacy.core.decisions import Decision, Invitation, Step, Withheld
from services.advocacy.core.definitions import Definitions, OnSignal, OnStage, OnTenure, Survey, Trigger, days
from shared.contracts.lifecycle import LifecycleMessage, SignalRaised, StageChanged
from shared.ids import derived


def told(account: Account, message: LifecycleMessage, definitions: Definitions) -> Step:
    """The surveys that this message starts."""
    decisions: list[Decision] = []
    for survey in definitions.surveys:
        cause = next((words for trigger in survey.triggers if (words := _starts(trigger, message))), "")
        if cause:
            account, more = invited(account, survey, message.id, cause, definitions, history=message.history)
            decisions += more
    return account, decisions


def _starts(trigger: Trigger, message: LifecycleMessage) -> str:
    match trigger, message:
        case OnStage(stage=wanted), StageChanged(stage=stage) if wanted == stage:
            return f"entered {stage}"
        case OnSignal(signal=wanted), SignalRaised(signal=signal) if wanted == signal:
            return f"signal {signal}"
    return ""


def due_days(account: Account, definitions: Definitions) -> list[datetime]:
    """The moments at which some survey's day of tenure comes."""
    born = account.born
    if born is None:
        return []
    return [born + days(on.day) for survey in definitions.surveys for on in survey.triggers if isinstance(on, OnTenure)]


def come_of_age(account: Account, definitions: Definitions, *, history: bool) -> Step:
    """The surveys whose day of tenure is exactly now on the account's clock."""
    decisions: list[Decision] = []
    for survey in definitions.surveys:
        for on in survey.triggers:
            if isinstance(on, OnTenure) and account.tenure == days(on.day):
                cause = f"day {on.day}"
                account, more = invited(account, survey, cause, cause, definitions, history=history)
                decisions += more
    return account, decisions


def invited(
    account: Account, survey: Survey, occurrence: str, cause: str, definitions: Definitions, *, history: bool
) -> Step:
    """Invite whom we may, or say why nobody was."""
    users, nobody = chosen(account, survey)
    if not users:
        held = Withheld(
            account=account.id, at=account.clock, history=history, name=survey.name, cause=cause, reason=nobody
        )
        return account, [held]
    version = definitions.versions.get(survey.name, "")
    invitations = [_invitation(account, survey, user, occurrence, cause, version, history) for user in users]
    for invitation in invitations:
        account = _sent(account, invitation)
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
        closes_at=account.clock + days(survey.open_days),
        cause=cause,
        definition=version,
        history=history,
        values={"survey": survey.name, "question": survey.question, "name": account.contacts[user].name},
    )


def _sent(account: Account, invitation: Invitation) -> Account:
    theirs = {**account.sent.get(invitation.user, {}), invitation.name: Sent(invitation.id, invitation.at)}
    return replace(account, sent={**account.sent, invitation.user: theirs})
