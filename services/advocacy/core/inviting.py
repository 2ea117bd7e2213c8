"""Which survey does this moment start, and who gets it?"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from services.advocacy.core.account import Account, Sent
from services.advocacy.core.audience import chosen
from services.advocacy.core.decisions import Decision, Invitation, Step, Withheld
from services.advocacy.core.definitions import Definitions, Survey, Trigger
from shared.contracts.lifecycle import FlagChanged, LifecycleMessage, MilestoneReached, SignalRaised, StageChanged
from shared.durations import in_words
from shared.ids import derived


def told(account: Account, message: LifecycleMessage, definitions: Definitions) -> Step:
    """The surveys that this message starts."""
    decisions: list[Decision] = []
    for survey in definitions.surveys:
        cause = next((words for trigger in survey.on if (words := _starts(trigger, message))), "")
        if cause:
            account, more = invited(account, survey, message.id, cause, definitions, history=message.history)
            decisions += more
    return account, decisions


def _starts(trigger: Trigger, message: LifecycleMessage) -> str:
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


def due_days(account: Account, definitions: Definitions) -> list[datetime]:
    """The moments at which some survey's tenure is reached."""
    born = account.born
    if born is None:
        return []
    return [born + trigger.tenure for survey in definitions.surveys for trigger in survey.on if trigger.tenure]


def come_of_age(account: Account, definitions: Definitions, *, history: bool) -> Step:
    """The surveys whose tenure is reached exactly now on the account's clock."""
    decisions: list[Decision] = []
    for survey in definitions.surveys:
        for trigger in survey.on:
            if trigger.tenure and account.tenure == trigger.tenure:
                cause = _tenure(trigger.tenure)
                account, more = invited(account, survey, cause, cause, definitions, history=history)
                decisions += more
    return account, decisions


def _tenure(length: timedelta) -> str:
    """The cause, which ids are derived from."""
    return f"tenure of {in_words(length)}" if length.seconds else f"day {length.days}"


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
        closes_at=account.clock + survey.open,
        cause=cause,
        definition=version,
        history=history,
        values={"survey": survey.name, "question": survey.question, "name": account.contacts[user].name},
    )


def _sent(account: Account, invitation: Invitation) -> Account:
    theirs = {**account.sent.get(invitation.user, {}), invitation.name: Sent(invitation.id, invitation.at)}
    return replace(account, sent={**account.sent, invitation.user: theirs})
