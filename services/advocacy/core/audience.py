"""Whom do we ask, and why not the others?"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from services.advocacy.core.account import Account, Contact
from services.advocacy.core.definitions import Survey
from shared.durations import in_words

TOPIC = "survey"


class Chosen(NamedTuple):
    """The people to ask, in order; `nobody` is the reason when there are none."""

    users: tuple[str, ...]
    nobody: str = ""


def chosen(account: Account, survey: Survey) -> Chosen:
    """The first few who may be asked now, in the order of the survey's roles."""
    if account.stage in survey.never_in:
        return Chosen((), f"not sent in stage {account.stage}")
    reasons = {user: reason_against(account, user, survey) for user in account.contacts}
    willing = [user for user, reason in reasons.items() if not reason]
    willing.sort(key=lambda user: (_rank(account.contacts[user], survey), user))
    if willing:
        return Chosen(tuple(willing[: survey.audience.max_recipients]))
    return Chosen((), _summed_up(reasons.values()))


def reason_against(account: Account, user: str, survey: Survey) -> str:
    """Why this person is not asked; empty when they may be."""
    contact = account.contacts[user]
    if not contact.may_hear(TOPIC):
        return "left or unsubscribed"
    if not contact.email:
        return "has no e-mail address"
    if survey.audience.roles and contact.role not in survey.audience.roles:
        return "has another role"
    return _resting(account, user, survey)


def _resting(account: Account, user: str, survey: Survey) -> str:
    same, anything = _last(account, user, survey)
    if same and account.clock - same < survey.cooldown.same_survey:
        return f"was asked the same within {in_words(survey.cooldown.same_survey)}"
    if anything and account.clock - anything < survey.cooldown.any_survey:
        return f"was asked something within {in_words(survey.cooldown.any_survey)}"
    return ""


def _last(account: Account, user: str, survey: Survey) -> tuple[datetime | None, datetime | None]:
    """When this person last had this survey (or answered one of its kind elsewhere), and any."""
    sent, scores = account.sent.get(user, {}), account.scores.get(user, {})
    same = [sent[survey.name].at] if survey.name in sent else []
    same += [scores[survey.kind].at] if survey.kind in scores else []
    anything = [known.at for known in sent.values()] + [known.at for known in scores.values()]
    return max(same, default=None), max(anything, default=None)


def _rank(contact: Contact, survey: Survey) -> int:
    return survey.audience.roles.index(contact.role) if survey.audience.roles else 0


def _summed_up(reasons: Iterable[str]) -> str:
    counted = Counter(reasons)
    return "; ".join(f"{counted[reason]} {reason}" for reason in sorted(counted)) or "no contact is known"
