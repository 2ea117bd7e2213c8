"""Message step: sends a message on a channel, or opens a task, for each person the play addresses."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar

import msgspec
from msgspec.structs import replace

from services.notify.core.account_view import template_values
from services.notify.core.budget import still_counting
from services.notify.core.channels import CAUTIOUS, Channels, ChannelTraits, anybody
from services.notify.core.conditions import ReportMistake, conditions
from services.notify.core.delivery import Decision, Verdict, delivery_id
from services.notify.core.past_steps import step_values, with_outcome, with_past_step
from services.notify.core.playbook import Firing, Play, Result, Step
from services.notify.core.policy import Case, judge, recipients
from services.notify.core.state import MAX_PLANNED_SENDS, TRANSACTIONAL, Account, OpenTask, PendingStep, PlannedSend
from services.notify.core.steps.kind import Delay, Offered, StepKind
from shared.contracts.evidence import Value
from shared.definitions import At, named, nearest
from shared.expr import Expr

_DAY = timedelta(days=1)


class MessageStep(StepKind, frozen=True, tag="message"):
    """One message or task, `after` the play began. `name` tells two steps with one template apart."""

    DEFAULT_KIND: ClassVar[bool] = True
    RENAMED: ClassVar[Mapping[str, str]] = {"guard": "when"}

    channel: str
    """The channel it leaves on."""
    template: str
    """The text, `templates/NAME.md.j2`."""
    name: str = ""
    """The name of the step; its template's where it has none."""
    subject: str = ""
    """A subject in place of the template's."""
    expires: Delay = Delay(days=7)
    """How long after it is due it may still be sent."""
    when: list[str] = msgspec.field(default_factory=list)
    """Conditions that must all hold for certain; one that is unknown does not."""
    unless: list[str] = msgspec.field(default_factory=list)
    """Conditions of which none may hold for certain; one that is unknown does not."""

    def check(self, at: At, report: ReportMistake, offered: Offered) -> Step:
        if not self.expires:
            report((*at, "expires"), "a step that expires at once is never sent")
        if self.template not in offered.templates:
            report((*at, "template"), *named(f"no template '{self.template}'", self.template, offered.templates))
        channel = _channel(self.channel, (*at, "channel"), report, offered.channels)
        when = conditions(self.when, (*at, "when"), report, offered.names)
        unless = conditions(self.unless, (*at, "unless"), report, offered.names)
        name = self.name or self.template
        return message_step(name, self.after, channel, self.template, self.subject, self.expires, when, unless)


def message_step(
    name: str,
    after: timedelta,
    channel: ChannelTraits,
    template: str,
    subject: str,
    expires: timedelta,
    when: tuple[Expr, ...] = (),
    unless: tuple[Expr, ...] = (),
) -> Step:
    """The checked step that sends the template on the channel."""
    return Step(name, after, expires, partial(_fire, channel), channel, template, subject, when, unless)


def _channel(name: str, at: At, report: ReportMistake, channels: Channels) -> ChannelTraits:
    if name in channels:
        return channels[name]
    report(at, f"Invalid enum value '{name}'; the channels are {', '.join(channels)}", nearest(name, channels))
    return ChannelTraits(
        name=name,
        reaches_customer=True,
        opens_task=False,
        quiet_hours=False,
        unsubscribe_footer=False,
        address_rule=anybody,
        crash_outcomes=CAUTIOUS,
    )


def _fire(channel: ChannelTraits, firing: Firing) -> Result:
    """Each person the message addresses is judged; every verdict is recorded or deferred."""
    decisions: list[Decision] = []
    for user in _users(channel, firing):
        pending = replace(firing.pending, user=user, awaiting_contact=False)
        account, decided = _decide(channel, firing, pending)
        firing = firing._replace(account=account)
        decisions += decided
    return firing.account, decisions


def _users(channel: ChannelTraits, firing: Firing) -> list[str | None]:
    if firing.pending.user is not None or not channel.reaches_customer:
        return [firing.pending.user]
    return [*recipients(firing.account, firing.play, channel)] or [None]


def _decide(channel: ChannelTraits, firing: Firing, pending: PendingStep) -> Result:
    account, run, _, play, step, book, at = firing
    delivery = delivery_id(play.name, account.id, run.occurrence, step.name, pending.user, channel.name)
    case = Case(account, book, play, step, channel, pending.user, delivery, at, pending.expires_at, run.occurrence)
    verdict = _in_time(judge(case), pending, at)
    if verdict.action == "defer":
        several = play.audience.max_recipients > 1 or run.request is not None
        deferred = replace(
            pending,
            due=verdict.until or at,
            awaiting_contact=verdict.reason == "no_contact",
            user=pending.user if several else None,  # whom it is for is asked anew: the admin may have joined meanwhile
        )
        if verdict.reason == "quiet_hours":  # a night and a weekend end: what comes behind it waits so long
            deferred = replace(deferred, gives_way_at=None)
        return firing.put_off(deferred), []
    values: dict[str, Value] = {}
    if verdict.action == "send":
        values = template_values(
            account, pending.user, run.request, at, book.counting, to_customer=channel.reaches_customer
        )
        values |= step_values(run, account.pending_of(run), _messages(play))
    decision = firing.decision(pending, verdict, values)
    account = with_past_step(_remember(channel, firing, decision), decision)
    if decision.send and channel.opens_task and not decision.history:
        account = with_outcome(account, decision, at)
    return account, [decision]


def _messages(play: Play) -> dict[str, bool]:
    return {step.name: step.addresses_customer for step in play.steps}


def _in_time(verdict: Verdict, pending: PendingStep, at: datetime) -> Verdict:
    """Left out for what it waits for, once a task behind it has waited long enough."""
    gives_way = pending.gives_way_at is not None and at >= pending.gives_way_at
    waits = verdict.action == "defer" and verdict.reason != "quiet_hours"
    return Verdict("skip", verdict.reason, verdict.detail) if waits and gives_way else verdict


def _remember(channel: ChannelTraits, firing: Firing, decision: Decision) -> Account:
    """Its cooldown, its budget entry, its open task, and that it is to leave. A held-out account cools down as if it had been contacted."""
    account = firing.account
    if decision.send or decision.reason == "holdout":
        account = replace(account, last_contacted=account.last_contacted | {decision.play: decision.at})
    if not decision.send:
        return account
    if channel.opens_task:
        task = OpenTask(decision.id, decision.at, decision.history, decision.occurrence)
        before = account.open_tasks.get(decision.play)
        return replace(
            account, open_tasks=account.open_tasks | {decision.play: before.followed_by(task) if before else task}
        )
    account = _with_planned_send(account, decision)
    if not channel.is_contact or decision.outreach_class == TRANSACTIONAL:
        return account
    entries = still_counting(account.budget_entries, decision.at, firing.book.budget)
    return replace(account, budget_entries=[*entries, decision.budget_entry(decision.at)])


def _with_planned_send(account: Account, decision: Decision) -> Account:
    """With the message noted as one to send; what expired more than a day ago leaves no more, whatever the clocks say."""
    if decision.history:
        return account
    kept = [one for one in account.planned_sends if one.expires_at > decision.at - _DAY and one.delivery != decision.id]
    ours = PlannedSend(decision.id, decision.play, decision.expires_at)
    return replace(account, planned_sends=[*kept, ours][-MAX_PLANNED_SENDS:])
