"""Fold: what follows for an account from one usage event, or from time alone. Start reading the core here.

`fold` first fires the midnights that fell due before the event, then applies it (`apply_event.py`, `metrics/`), announces
what it says by itself, and runs the rules that read what it moved (`run_rules.py`).

Windows, health, holds, dwells and cooldowns move at midnight (UTC) of the account's own clock only, so time has one
mechanism. At a shared instant the midnight comes before the event. Between midnights the clock stands at the latest event:
`advance` in small steps is `advance` in one. Of a gap only the midnights are looked at that can decide anything
(`quiet_days.py`), with the result of looking at each. Feedback is kept with the account and taken where its clock comes to it
(`feedback.py`), between midnights as an event is: it moves no clock, and when it arrived does not matter.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from services.lifecycle.core.activity import drop_inactive
from services.lifecycle.core.apply_event import announce, apply_occurrence, apply_traits, note_claims, properties
from services.lifecycle.core.compiled_definition import CompiledDefinition, CompiledEventClass
from services.lifecycle.core.contacts import identify
from services.lifecycle.core.evaluation import (
    DAY,
    FIRST_SEEN,
    TIME,
    Evaluation,
    Occurrence,
    UnreadableValue,
    UntrustedClaim,
    in_utc,
    midnight,
    see_earlier,
    tick,
)
from services.lifecycle.core.feedback import next_place, settles_at, taken_at
from services.lifecycle.core.health import evaluate_health
from services.lifecycle.core.heard_of_mail import hear_of_mail
from services.lifecycle.core.late import question_decisions, record_corrections
from services.lifecycle.core.quiet_days import standing
from services.lifecycle.core.run_rules import enter, run_rules
from services.lifecycle.core.state import Account, PackedEvent, pack, unpack
from shared.contracts.lifecycle import ClockAdvanced, LifecycleMessage
from shared.contracts.usage import HISTORY_ENDED, UsageEvent

_OCCURRENCES = frozenset({"track", "page", "screen"})
_WEEK = 7
_SHORT_GAP = timedelta(days=30)
"""Where fewer midnights are due than this, working out which can be passed over costs more than they do."""
_LONG_GAP = timedelta(days=60)
_MAX_PATIENCE = 32


def fold(
    account: Account,
    event: UsageEvent,
    compiled: CompiledDefinition,
    decided_at: datetime,
    unreadable: list[UnreadableValue] | None = None,
    claims: list[UntrustedClaim] | None = None,
) -> list[LifecycleMessage]:
    """Fold one event into the account, in place. Returns the decisions, in order; appends what counts nowhere.

    What a browser says leaves what it did (use, views, when it was last there). Of a trusted class, or against what a
    trusted source told, it is an untrusted claim.

    An import drives the clock of the accounts that it began, until its end or the first live event. To one that lived before,
    it tells of the past.

    An event older than the account's clock corrects what it left behind at its own time; what follows from the
    correction is decided at the account's clock.
    """
    return fold_next(Evaluation(account, compiled.metrics, decided_at, unreadable, claims), event, compiled)


def fold_next(evaluation: Evaluation, event: UsageEvent, compiled: CompiledDefinition) -> list[LifecycleMessage]:
    """As `fold`, into the account of an evaluation that may have seen the events before: nothing else may have changed it since."""
    account, at = evaluation.account, event.at
    evaluation.imported = False
    if at.tzinfo is not UTC:  # as most are: the question costs less than the call
        at = in_utc(at)
    if account.definition_version != compiled.version:
        compiled.recognise(account)
    if (account.next_due is not None and account.next_due <= at) or account.waiting or account.unsettled:
        _catch_up(evaluation, compiled, at)
    questioned = None
    if at >= account.clock:
        evaluation.move_clock(at)
    else:
        questioned = question_decisions(account, event, at, compiled)
    is_marker = event.name == HISTORY_ENDED
    if is_marker and event.is_trusted:
        _end_history(evaluation, event)
    else:
        if is_marker or event.claims:
            note_claims(evaluation, event)
        if event.history is not None or account.replaying:
            _note_driver(evaluation, event)
        if at < account.first_seen:
            evaluation.write_one(FIRST_SEEN, see_earlier, at)
        _happen(evaluation, compiled, event, at)
    if questioned is not None:
        record_corrections(evaluation, questioned)
    decisions, evaluation.decisions = evaluation.decisions, []
    return decisions


def advance(
    account: Account,
    until: datetime,
    compiled: CompiledDefinition,
    decided_at: datetime,
    most: int | None = None,
) -> list[LifecycleMessage]:
    """Fire every midnight up to and including `until`, in place; of those to be looked at no more than `most`.

    In a terminal stage there is none. Feedback is taken where the clock comes to it; what settles in an account that history
    holds is taken alone, and its clock stays.
    """
    evaluation, until = Evaluation(account, compiled.metrics, decided_at), in_utc(until)
    settles = settles_at(account) if account.replaying else None
    has_settled = settles is not None and settles <= until
    is_due = account.next_due is not None and account.next_due <= until
    if is_due or has_settled or account.waiting or account.unsettled:
        if account.definition_version != compiled.version:
            compiled.recognise(account)
        if has_settled:
            _take_feedback(evaluation, compiled, until)
            evaluation.clear()
        else:
            _catch_up(evaluation, compiled, until, most)
    return evaluation.decisions


def is_behind(account: Account, at: datetime) -> bool:
    """Whether so many midnights fell due before then that they are a unit of work of their own."""
    return account.next_due is not None and at - account.next_due >= _LONG_GAP


def by_account(events: Iterable[UsageEvent]) -> dict[str, list[UsageEvent]]:
    """The events of each account, in their order: accounts do not look at each other."""
    of_account: dict[str, list[UsageEvent]] = {}
    for event in events:
        of_account.setdefault(event.account, []).append(event)
    return of_account


def _catch_up(evaluation: Evaluation, compiled: CompiledDefinition, until: datetime, most: int | None = None) -> None:
    """Everything that time brings by then, in order; at a shared instant the midnight comes before the feedback."""
    account = evaluation.account
    while (place := next_place(account)) is not None and place <= until:
        fired = _fire_midnights(evaluation, compiled, place, most)
        if account.next_due is not None and account.next_due <= place:
            return
        most = None if most is None else most - fired
        _take_feedback(evaluation, compiled, place)
    _fire_midnights(evaluation, compiled, until, most)


def _take_feedback(evaluation: Evaluation, compiled: CompiledDefinition, place: datetime) -> None:
    """What the clock has come to, each as an event of its own time: ahead of the latest event it is where the clock stands now."""
    account = evaluation.account
    for event in taken_at(account, place):
        at = in_utc(event.at)
        if at > account.clock:
            evaluation.move_clock(at)
        evaluation.imported = event.history is not None and not account.replaying
        _happen(evaluation, compiled, event, at)
    evaluation.imported = False


def _fire_midnights(
    evaluation: Evaluation, compiled: CompiledDefinition, until: datetime, most: int | None = None
) -> int:
    """Those that are due by then, no more than `most` of those to be looked at. How many were."""
    account, fired, ask_on, patience = evaluation.account, 0, 0, 1
    while account.next_due is not None and account.next_due <= until and fired != most:
        fired += 1
        if until - account.next_due < _SHORT_GAP or evaluation.day + 1 < ask_on:
            _fire(evaluation, compiled, account.next_due)
            continue
        before = standing(account)
        _fire(evaluation, compiled, account.next_due)
        if standing(account) != before or _skip_quiet(evaluation, compiled, until):
            patience = 1
        else:  # what moves every day is not asked every day
            ask_on, patience = evaluation.day + patience, min(2 * patience, _MAX_PATIENCE)
    evaluation.clear()
    return fired


def _fire(evaluation: Evaluation, compiled: CompiledDefinition, at: datetime) -> None:
    """One midnight."""
    evaluation.write_one(TIME, tick, at)
    evaluation.day = at.toordinal()
    if evaluation.day % _WEEK == 0:
        _drop_inactive(evaluation.account, evaluation.day)
    if compiled.health is not None:
        evaluate_health(evaluation, compiled.health)
    run_rules(evaluation, compiled)


def _skip_quiet(evaluation: Evaluation, compiled: CompiledDefinition, until: datetime) -> bool:
    """After a midnight that changed nothing: put the clock to the last of those that do not either, if there are any."""
    day, last = evaluation.day, until.toordinal()
    busy = compiled.quiet_days.next_busy_day(evaluation)
    quiet = last if busy is None else min(busy - 1, last)
    if quiet <= day:
        return False
    week = quiet - quiet % _WEEK
    if week > day:
        _drop_inactive(evaluation.account, week)
    evaluation.write_one(TIME, tick, evaluation.account.clock + (quiet - day) * DAY)
    evaluation.day, evaluation.moved = quiet, 0
    return True


def _drop_inactive(account: Account, day: int) -> None:
    for active in account.active_members.values():
        drop_inactive(active, day)


def _happen(evaluation: Evaluation, compiled: CompiledDefinition, event: UsageEvent, at: datetime) -> None:
    account = evaluation.account
    packed = pack(event, at)
    trusted, kind = event.trust != "browser", event.type  # not the property: the question costs less than the call
    occurrence = Occurrence(at, at.toordinal(), event.user or "", "", {}, evaluation.unreadable, trusted, event.id)
    announcing: Sequence[CompiledEventClass] = ()
    if kind in _OCCURRENCES:
        announcing = apply_occurrence(evaluation, compiled, event, occurrence, packed)
    elif kind == "group":
        apply_traits(evaluation, compiled, event, at, packed)
    if evaluation.moved:
        account.known_stores |= evaluation.moved & compiled.knowable
    if not account.stage:
        _start(evaluation, compiled, packed)
    if kind == "identify":
        identify(evaluation, event, properties(event))
    if event.no_to_mail or occurrence.about_mail:
        hear_of_mail(evaluation, event, occurrence.properties)
    for event_class in announcing:
        announce(evaluation, event_class, event, occurrence, packed)
    if evaluation.moved:
        run_rules(evaluation, compiled)


def _note_driver(evaluation: Evaluation, event: UsageEvent) -> None:
    """Whether an import or the wall clock drives the account from this event on."""
    account = evaluation.account
    if not account.stage:
        account.replaying = True
    elif event.history is not None:
        evaluation.imported = not account.replaying
        account.history_over = False
    else:
        account.replaying = False
        if event.is_trusted:  # a browser hands no account over to others
            evaluation.record_decision(ClockAdvanced, live=True)


def _start(evaluation: Evaluation, compiled: CompiledDefinition, packed: PackedEvent) -> None:
    """The account's first event: it begins where the definition's stages begin."""
    account = evaluation.account
    account.next_due = midnight(account.clock) + DAY
    why = evaluation.evidence("first seen", "The account was seen for the first time.", [unpack(packed)])
    enter(evaluation, compiled, compiled.first_stage, why)
    evaluation.everything_moved()


def _end_history(evaluation: Evaluation, event: UsageEvent) -> None:
    """The import is over: with `live`, the wall clock drives the account from here. One that lived before goes on."""
    account, live = evaluation.account, properties(event).get("live") is True
    if not account.stage or not (account.replaying or live):
        return
    account.replaying = not live
    account.history_over = not live
    evaluation.record_decision(ClockAdvanced, live=live)
