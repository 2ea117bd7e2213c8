"""Past steps: what became of the earlier steps of a run, so that a task says what was sent, and not what its file planned.

Noted when a step is decided, and again when its delivery has left, failed or was left out after all.
"""

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from services.notify.core.delivery import Decision
from services.notify.core.state import Account, PastStep, PendingStep, Run
from shared.contracts.evidence import Value

SENT, UNSENT, DONE, DUE, MESSAGES_SENT = "sent_", "unsent_", "done_", "due_", "messages_sent"
"""How the names of these values begin; a step's name follows. `sent_` and `done_` are dates, `due_` is one to come."""
STEP_VALUES = (SENT, UNSENT, DONE, DUE)
_NOT_YET = "it has not left yet"
_PREVIEW = "outreach is in preview, and nothing leaves"
REASONS: Mapping[str, str] = {
    "other_stage": "the account had moved on to another stage",
    "stopped": "what it was about was over",
    "play_changed": "the play was changed",
    "no_contact": "nobody is known whom we could write to",
    "gone": "the person has left",
    "no_address": "no address of theirs is known",
    "unsubscribed": "they do not want to hear from us about this",
    "bounced": "their address does not exist any more",
    "complained": "they reported our mail as spam",
    "unverified": "nobody we trust told us their address",
    "holdout": "the account is in the group that is not contacted, for comparison",
    "guard": "a condition of the play did not hold",
    "budget": "they had heard from us often enough",
    "ceiling": "sending was held back",
    "approval": "sending waits for somebody to approve it",
    "open_task": "an earlier task was still open",
    "urgent_ticket": "an urgent ticket is open",
    "unhappy": "they have reason to be unhappy with us",
    "same_cause": "another play answers the same cause",
    "quiet_hours": "it was never a working hour of theirs",
    "expired": "it was too late for it",
    "history": "it was planned while the past was imported",
    "unwritable": "a number that its text needs is not known",
    "not_configured": "what its text needs is not configured",
    "unknown_play": "the play is not there any more",
    "running": "the play was at work already",
    "resting": "the play rests",
    "crowded": "too many plays were at work",
    "refused": "their mail server refused it",
    "gave_up": "it could not be delivered",
    "unknown": "it may have arrived, which the mail server did not say",
}
"""Why a step was not sent, for the people who read a task."""


def with_past_step(account: Account, decision: Decision) -> Account:
    """The account with what was decided about a step noted at its run, where that goes on."""
    reason = "history" if decision.send and decision.history else decision.reason
    return _noted(account, decision, PastStep(decision.step, decision.id, decision.at, decision.user, reason=reason))


def with_outcome(account: Account, decision: Decision, at: datetime, unsent: str = "") -> Account:
    """The account when the delivery left, or its task was opened, at this time; with `unsent`, why it did not."""
    past = PastStep(decision.step, decision.id, at, decision.user, left=not unsent, reason=unsent)
    return _noted(account, decision, past)


def with_task_done(account: Account, delivery: str, at: datetime) -> Account:
    """The account when somebody has done this task."""
    runs = [replace(run, past=[_done(step, delivery, at) for step in run.past]) for run in account.runs]
    return account if runs == account.runs else replace(account, runs=runs)


def step_values(run: Run, to_come: list[PendingStep], channels: Mapping[str, bool]) -> dict[str, Value]:
    """What a text may say of the run: when each earlier step left or why it did not, and when the others are due.

    `channels`: for each step, whether it reaches the customer.
    """
    values: dict[str, Value] = {}
    for past in sorted(
        run.past, key=lambda past: not past.left
    ):  # of several people, one who got it speaks for the step
        if f"{SENT}{past.step}" in values or f"{UNSENT}{past.step}" in values:
            continue
        if past.left:
            values[f"{SENT}{past.step}"] = past.at.date().isoformat()
        else:
            values[f"{UNSENT}{past.step}"] = REASONS.get(past.reason, past.reason) if past.reason else _NOT_YET
        if past.done_at is not None:
            values[f"{DONE}{past.step}"] = past.done_at.date().isoformat()
    values |= {f"{DUE}{step.step}": step.due.date().isoformat() for step in to_come}
    return values | {
        MESSAGES_SENT: float(len({past.step for past in run.past if past.left and channels.get(past.step)}))
    }


def in_preview(values: Mapping[str, Value]) -> dict[str, Value]:
    """The values where outreach is in preview: why nothing has left yet is known."""
    waits = {name for name, value in values.items() if name.startswith(UNSENT) and value == _NOT_YET}
    return {**values, **dict.fromkeys(waits, _PREVIEW)}


def _noted(account: Account, decision: Decision, past: PastStep) -> Account:
    runs = [_with(run, past) if _is_of(run, decision) else run for run in account.runs]
    return account if runs == account.runs else replace(account, runs=runs)


def _is_of(run: Run, decision: Decision) -> bool:
    return (run.play, run.occurrence) == (decision.play, decision.occurrence)


def _with(run: Run, past: PastStep) -> Run:
    return replace(run, past=[*(other for other in run.past if other.delivery != past.delivery), past])


def _done(past: PastStep, delivery: str, at: datetime) -> PastStep:
    return replace(past, done_at=at) if past.delivery == delivery else past
