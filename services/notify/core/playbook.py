"""Playbook: plays and budget after checking, and the firing of a step. Conditions are compiled, channels their traits."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import msgspec

from services.notify.core.budget import Budget
from services.notify.core.channels import Channels, ChannelTraits
from services.notify.core.delivery import Decision, Reason, Verdict, delivery_id
from services.notify.core.state import Account, PendingStep, Run
from shared.contracts.evidence import Value
from shared.contracts.outreach import OutreachClass
from shared.expr import Expr

Result = tuple[Account, list[Decision]]
"""The account after something happened, and what was decided."""
Fire: TypeAlias = "Callable[[Firing], Result]"
"""What a step does when it is due."""

PRIORITY: tuple[OutreachClass, ...] = (
    "transactional",
    "risk",
    "onboarding",
    "renewal",
    "value",
    "survey",
    "expansion",
    "advocacy",
)
"""Which class goes first when two are due at once."""

FOREVER = timedelta.max
NO_STEP_CHANNEL = "email"
"""The channel in decisions about steps that have none: part of their derived ids, so it never changes."""
_NO_VALUES: Mapping[str, Value] = {}


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The message that starts a play. Exactly one of stage (entered), flag (raised), signal, milestone."""

    stage: str | None = None
    """The account enters this stage."""
    from_: str | None = msgspec.field(name="from", default=None)
    """With `stage`: only when it comes from this one."""
    flag: str | None = None
    """The flag is raised."""
    signal: str | None = None
    """The signal is raised."""
    milestone: str | None = None
    """The milestone is reached."""


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ends a play early. Exactly one; `when` is CEL, `fact` a usage event that lifecycle forwards."""

    stage: Literal["left"] | None = None
    """`left`: the account is in none of the `stages` of the play any more."""
    milestone: str | None = None
    """The milestone is reached."""
    flag_cleared: str | None = None
    """The flag is cleared."""
    signal: str | None = None
    """The signal is raised."""
    fact: str | None = None
    """The usage event arrives; lifecycle.yaml lists it under `facts`."""
    when: str | None = None
    """The condition holds, asked with each decision and fact about the account: what use or time alone moves is seen with the next of them; `flag_cleared` is seen at once."""


class Audience(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a play addresses: the first role on the list that somebody has; `any` is everybody."""

    RENAMED: ClassVar[Mapping[str, str]] = {"most": "max_recipients"}

    roles: list[str] = msgspec.field(default_factory=lambda: ["any"])
    """Roles in the order of preference; `any` is everybody."""
    max_recipients: int = 1
    """At most so many people of that role."""


class Step(NamedTuple):
    """A step of any kind, checked: due `after` the run began, done by `fire`.

    A step that sends has a channel and a template; `when` and `unless` are its own conditions.
    """

    name: str
    after: timedelta
    expires: timedelta
    fire: Fire
    channel: ChannelTraits | None = None
    template: str = ""
    subject: str = ""
    when: tuple[Expr, ...] = ()
    unless: tuple[Expr, ...] = ()

    @property
    def addresses_customer(self) -> bool:
        """Whether the person of a request is its recipient."""
        return self.channel is not None and self.channel.reaches_customer


class StopCondition(NamedTuple):
    """A stop, checked: `when` is compiled, `text` names it in reasons."""

    stop: Stop
    text: str
    when: Expr | None = None


class Play(NamedTuple):
    """A play, checked. `cooldown` is the time until the next run after somebody was contacted; None on request.

    `lacks` says what the company has not configured that a text of the play needs: then it does not start.
    """

    name: str
    version: str
    class_: OutreachClass
    topic: str
    on: Trigger | None
    steps: tuple[Step, ...]
    stages: frozenset[str] = frozenset()
    when: tuple[Expr, ...] = ()
    unless: tuple[Expr, ...] = ()
    stops: tuple[StopCondition, ...] = ()
    cooldown: timedelta | None = None
    audience: Audience = Audience()
    holdout: float = 0.0
    description: str = ""
    causes: frozenset[str] = frozenset()
    precedence: int = 0
    lacks: str = ""

    def step(self, name: str) -> Step | None:
        return next((step for step in self.steps if step.name == name), None)


class Counting(NamedTuple):
    """The metrics that count days: `up` since something happened, `down` until it will."""

    up: frozenset[str] = frozenset()
    down: frozenset[str] = frozenset()


class Playbook(NamedTuple):
    """Everything the core needs to decide.

    `flags` and `milestones` read as false while not raised or reached. `compared_metrics` are those whose value of about
    a quarter ago some template compares with today's (`before_...`).
    """

    plays: Mapping[str, Play]
    budget: Budget
    channels: Channels
    flags: frozenset[str]
    milestones: frozenset[str] = frozenset()
    compared_metrics: frozenset[str] = frozenset()
    version: str = ""
    counting: Counting = Counting()

    def triggered_by(self, kind: str, name: str) -> Iterable[Play]:
        """The plays this starts, in the order of their names."""
        return (play for play in self.plays.values() if play.on and getattr(play.on, kind) == name)


class Firing(NamedTuple):
    """A step that is due. `account` is without it already; `at` is when, on the account's clock."""

    account: Account
    run: Run
    pending: PendingStep
    play: Play
    step: Step
    book: Playbook
    at: datetime

    def ended_run(self, reason: str) -> Result:
        """The account without the run, whose remaining steps are skipped for this reason."""
        return ended_run(self.account, self.run, self.play, reason)

    def put_off(self, pending: PendingStep) -> Account:
        """The account with the step to come again, also where the run would have been over without it."""
        steps = [*self.account.pending_of(self.run), pending]
        return self.account.with_pending(self.run, sorted(steps, key=lambda step: step.position))

    def decision(self, pending: PendingStep, verdict: Verdict, values: Mapping[str, Value] = _NO_VALUES) -> Decision:
        """The decision on the step, for the user of `pending`."""
        return decision_on(self.account, self.run, pending, verdict, self.at, self.play, self.step, values)


def ended_run(account: Account, run: Run, play: Play, detail: str, reason: Reason = "stopped") -> Result:
    """The account without the run; its remaining steps are recorded as skipped because the run was stopped."""
    at, verdict = account.clock or run.started_at, Verdict("skip", reason, detail)
    skipped = (
        decision_on(account, run, pending, verdict, at, play, play.step(pending.step))
        for pending in account.pending_of(run)
    )
    return account.with_pending(run, []), [*skipped]


def decision_on(
    account: Account,
    run: Run,
    pending: PendingStep,
    verdict: Verdict,
    at: datetime,
    play: Play | None = None,
    step: Step | None = None,
    values: Mapping[str, Value] = _NO_VALUES,
) -> Decision:
    """The decision on one step of a run. Without play and step: they are not in the playbook any more."""
    channel = step.channel.name if step and step.channel else NO_STEP_CHANNEL
    return Decision(
        id=delivery_id(run.play, account.id, run.occurrence, pending.step, pending.user, channel),
        account=account.id,
        play=run.play,
        version=play.version if play else "",
        occurrence=run.occurrence,
        step=pending.step,
        channel=channel,
        outreach_class=play.class_ if play else "transactional",
        topic=play.topic if play else "",
        template=step.template if step else "",
        subject=step.subject if step else "",
        user=pending.user,
        at=at,
        expires_at=pending.expires_at,
        send=verdict.action == "send",
        reason=verdict.reason,
        detail=verdict.detail,
        history=account.replaying or (run.request is not None and run.request.history),
        values=dict(values),
    )
