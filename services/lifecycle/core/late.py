"""Late events: what would have been decided, had they come in time.

A late event corrects what it left behind at its own time; what was decided meanwhile stays. Here it is asked what would have been
otherwise, of copies of the account as it stood: at the event's own time, what it would have decided there; and at each decision
of a rule since, whether its conditions would still have held. A copy is put together from what the account has kept, so each
question is asked twice, with the event and without: only where the answers differ has it made the difference.

The work is bounded: one copy for the event's own time and one for each of the latest few decisions (`MAX_MARKS`).
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from services.lifecycle.core.activity import ActiveMembers, Series
from services.lifecycle.core.apply_event import apply_occurrence, apply_traits, properties
from services.lifecycle.core.compiled_definition import CompiledDefinition
from services.lifecycle.core.evaluation import (
    MILESTONES,
    Evaluation,
    Occurrence,
    Reached,
    mark_of,
    reach_milestone,
)
from services.lifecycle.core.metrics.traits import GROUP
from services.lifecycle.core.rules import Rule
from services.lifecycle.core.run_rules import run_rules
from services.lifecycle.core.state import (
    MAX_MARKS,
    Account,
    DecisionMark,
    HealthState,
    PackedEvent,
    SignalState,
    Span,
    TimestampedValue,
    decision_marks,
    pack,
    unpack,
)
from shared.contracts.lifecycle import CorrectedDecision, DecisionCorrected
from shared.contracts.usage import HISTORY_ENDED, UsageEvent

_OCCURRENCES = frozenset({"track", "page", "screen"})
Key = tuple[str, str]
"""Which decision, and about what."""


class LateEvent(NamedTuple):
    """An event that is older than the account's clock, and what it writes to."""

    event: UsageEvent
    at: datetime
    packed: PackedEvent
    classes: frozenset[str]
    stores: frozenset[str]
    traits: frozenset[str]


class Questioned(NamedTuple):
    """What a late event would have decided at its own time, which decisions since would not have been taken, and what was."""

    late: LateEvent
    would_be: list[DecisionMark]
    would_not_be: list[DecisionMark]
    since: list[DecisionMark]


def question_decisions(
    account: Account, event: UsageEvent, at: datetime, compiled: CompiledDefinition
) -> Questioned | None:
    """To be asked before the event is applied; changes nothing. None where it makes no difference."""
    late = _late_event(event, at, compiled)
    if late is None:
        return None
    since = [mark for mark in decision_marks(account) if mark.at > at]
    would_be = list[DecisionMark]()
    knows_then = len(since) < MAX_MARKS  # else it is not known how the account stood then
    if knows_then:
        moved, would_be = _decided_in_time(account, late, since, compiled)
        if not moved:
            return None
    would_not_be = [
        mark
        for place, mark in enumerate(since)
        if _would_not_be(account, late, since[place:], since if knows_then else [], compiled)
    ]
    return Questioned(late, would_be, would_not_be, since) if would_be or would_not_be else None


def record_corrections(evaluation: Evaluation, questioned: Questioned) -> None:
    """Record what would have been otherwise, once the event was applied. What it decides now, late, is as it would have been
    where nothing was decided since.
    """
    stood = {_key(mark): mark.at for mark in questioned.since}
    decided_now = {_key(mark) for one in evaluation.decisions if (mark := mark_of(one)) is not None}
    found: dict[Key, CorrectedDecision] = {}
    for mark in questioned.would_not_be:
        found[_key(mark)] = CorrectedDecision(mark.decision, mark.name, mark.rule, stood_at=mark.at)
    for mark in questioned.would_be:
        key = _key(mark)
        if key in decided_now and not questioned.since:
            continue
        stood_at = stood.get(key) or (evaluation.account.clock if key in decided_now else None)
        found[key] = CorrectedDecision(mark.decision, mark.name, mark.rule, stood_at, would_be_at=mark.at)
    if found:
        evaluation.record_decision(
            DecisionCorrected,
            event=unpack(questioned.late.packed),
            definition=evaluation.metrics.version,
            decisions=list(found.values()),
        )


def _late_event(event: UsageEvent, at: datetime, compiled: CompiledDefinition) -> LateEvent | None:
    """None for one of which no rule reads anything; nor are removals questioned."""
    if event.type == "group":
        traits = frozenset(name[:100] for name in properties(event))
        return LateEvent(event, at, pack(event, at), frozenset({GROUP}), frozenset(), traits)
    if event.type not in _OCCURRENCES or event.name == HISTORY_ENDED:
        return None
    classes = [match.event_class for match in compiled.router.route(event).matches]
    if not classes or any(of.removes_user for of in classes):
        return None
    return LateEvent(
        event,
        at,
        pack(event, at),
        frozenset(of.name for of in classes),
        frozenset().union(*(of.stores for of in classes)),
        frozenset(trait for of in classes for trait, _ in of.sets),
    )


def _decided_in_time(
    account: Account, late: LateEvent, since: list[DecisionMark], compiled: CompiledDefinition
) -> tuple[int, list[DecisionMark]]:
    """What it moves (bits), and what its own moment would have decided because of it."""
    evaluation = Evaluation(_as_of(account, late.at, since, late), compiled.metrics, late.at)
    moved = _apply(evaluation, late, compiled)
    if not moved:
        return 0, []
    with_it = _decided(evaluation, moved, compiled)
    if not with_it:
        return moved, []
    without = Evaluation(_as_of(account, late.at, since, late), compiled.metrics, late.at)
    anyway = {_key(mark) for mark in _decided(without, moved, compiled)}
    return moved, [mark for mark in with_it if _key(mark) not in anyway]


def _decided(evaluation: Evaluation, moved: int, compiled: CompiledDefinition) -> list[DecisionMark]:
    evaluation.moved = moved
    run_rules(evaluation, compiled)
    return [mark for one in evaluation.decisions if (mark := mark_of(one)) is not None]


def _would_not_be(
    account: Account,
    late: LateEvent,
    undone: list[DecisionMark],
    since: list[DecisionMark],
    compiled: CompiledDefinition,
) -> bool:
    """Whether the first of these decisions rests on what the event would have changed: by then, or while the rule was held to."""
    mark = undone[0]
    if mark.decision == "health":
        return _is_another_band(account, late, undone, compiled)
    rule = _rule_behind(mark, compiled)
    if rule is None:
        return False
    if _is_broken(account, late, undone, mark.at, compiled, rule):
        return True
    in_its_hold = bool(since) and mark.at - rule.hold <= late.at
    return in_its_hold and _is_broken(account, late, since, late.at, compiled, rule)


def _is_broken(
    account: Account,
    late: LateEvent,
    undone: list[DecisionMark],
    at: datetime,
    compiled: CompiledDefinition,
    rule: Rule,
) -> bool:
    """Whether the rule's conditions held then, and would not have with the event."""
    before = Evaluation(_as_of(account, at, undone, late), compiled.metrics, at)
    if not rule.condition.holds(before):
        return False
    evaluation = Evaluation(_as_of(account, at, undone, late), compiled.metrics, at)
    return bool(_apply(evaluation, late, compiled) & rule.moved_by) and not rule.condition.holds(evaluation)


def _is_another_band(
    account: Account, late: LateEvent, undone: list[DecisionMark], compiled: CompiledDefinition
) -> bool:
    mark, health = undone[0], compiled.health
    if health is None:
        return False
    bands = []
    for is_with in (False, True):
        evaluation = Evaluation(_as_of(account, mark.at, undone, late), compiled.metrics, mark.at)
        if is_with:
            _apply(evaluation, late, compiled)
        score, _ = health.evaluate(evaluation)
        bands.append(health.band(score, evaluation.account.health.band))
    return bands[0] == mark.name != bands[1]


def _rule_behind(mark: DecisionMark, compiled: CompiledDefinition) -> Rule | None:
    """None where no rule of today's definition took it."""
    match mark.decision:
        case "stage":
            rules = [edge.rule for edge in compiled.edges]
        case "flag_raised" | "flag_cleared":
            rules = [rule for flag in compiled.flags for rule in (flag.raise_rule, flag.clear_rule)]
        case "signal":
            rules = [signal.rule for signal in compiled.signals]
        case "milestone":
            rules = [milestone.rule for milestone in compiled.milestones]
        case _:
            rules = []
    return next((rule for rule in rules if rule.name == mark.rule), None)


def _apply(evaluation: Evaluation, late: LateEvent, compiled: CompiledDefinition) -> int:
    """Apply the event to a copy. The bits of what it moved."""
    event, at = late.event, late.at
    if event.type == "group":
        apply_traits(evaluation, compiled, event, at, late.packed)
    else:
        user = event.user or ""
        occurrence = Occurrence(at, at.toordinal(), user, "", {}, evaluation.unreadable, event.is_trusted, event.id)
        for of in apply_occurrence(evaluation, compiled, event, occurrence, late.packed):
            for milestone in of.milestones:
                reached = evaluation.account.milestones.get(milestone)
                if reached is None or at < reached:
                    evaluation.write_one(MILESTONES, reach_milestone, Reached(milestone, at))
    account, moved = evaluation.account, evaluation.moved
    account.known_stores |= moved & compiled.knowable
    evaluation.clear()
    return moved


def _as_of(account: Account, at: datetime, undone: list[DecisionMark], late: LateEvent) -> Account:
    """A copy of the account as it stood then, before these decisions, to which the event may be applied.

    What the event writes to is copied, and forgets what came later; of everything else what is known now stands.
    """
    stood = _before(account, at, undone)
    user = late.event.user or ""
    return replace(
        account,
        clock=at,
        first_seen=min(account.first_seen, at),
        **stood._asdict(),
        milestones={name: reached for name, reached in account.milestones.items() if reached <= at},
        holding_since={name: since for name, since in account.holding_since.items() if since <= at},
        spans=_spans(account, at),
        traits=_up_to(account.traits, at, late.traits),
        browser_traits=set(account.browser_traits),
        latest=_up_to(account.latest, at, late.stores),
        open_items={
            store: {key: replace(item) for key, item in items.items() if item.at <= at}
            if store in late.stores
            else items
            for store, items in account.open_items.items()
        },
        series={
            store: Series(series.last, list(series.days)) if store in late.stores else series
            for store, series in account.series.items()
        },
        active_members={
            store: _members(active, user) if store in late.stores else active
            for store, active in account.active_members.items()
        },
        recent_events={
            name: list(recent) if name in late.classes else recent for name, recent in account.recent_events.items()
        },
        decision_marks=b"",
    )


class Stood(NamedTuple):
    """What decisions change of an account."""

    stage: str
    entered_at: datetime
    flags: dict[str, datetime]
    signals: dict[str, SignalState]
    health: HealthState


def _before(account: Account, at: datetime, undone: list[DecisionMark]) -> Stood:
    """How the account stood before these decisions, the latest of those it remembers."""
    stage, entered_at, health = account.stage, account.entered_at, account.health
    flags, signals = dict(account.flags), {name: replace(signal) for name, signal in account.signals.items()}
    for mark in reversed(undone):
        match mark.decision:
            case "stage":
                stage, entered_at = mark.before or mark.name, min(account.first_seen, at)
            case "flag_raised":
                flags.pop(mark.name, None)
            case "flag_cleared":
                flags[mark.name] = account.first_seen
            case "signal":
                signals.pop(mark.name, None)
            case "health":
                health = replace(health, band=mark.before)
            case "milestone":
                pass
    earlier = decision_marks(account)[: -len(undone) or None]
    entered_at = max((mark.at for mark in earlier if mark.decision == "stage"), default=entered_at)
    raised = {mark.name: SignalState(mark.at, active=False) for mark in earlier if mark.decision == "signal"}
    return Stood(stage, min(entered_at, at), flags, raised | signals, health)


def _up_to(values: dict[str, TimestampedValue], at: datetime, written: frozenset[str]) -> dict[str, TimestampedValue]:
    return {name: value for name, value in values.items() if name not in written or value.at <= at}


def _members(active: ActiveMembers, user: str) -> ActiveMembers:
    """A copy in which this one may be seen. A feature is a member too: all of a few are copied."""
    return ActiveMembers(
        Series(active.newest.last, list(active.newest.days)),
        Series(active.pairs.last, list(active.pairs.days)),
        *(
            {name: replace(seen) if name == user or len(members) <= _FEW else seen for name, seen in members.items()}
            for members in (active.members, active.gone)
        ),
    )


_FEW = 500


def _spans(account: Account, at: datetime) -> dict[str, Span]:
    """When each class was first and last seen by then, as far as that can still be told."""
    found = {}
    for name, span in account.spans.items():
        if span.first <= at:
            last = span.last if span.last <= at else _last_seen(account, name, at, span.first)
            found[name] = Span(span.first, last)
    return found


def _last_seen(account: Account, name: str, at: datetime, first: datetime) -> datetime:
    """The latest of a class's moments that are not after `at`: among its latest events, else on the days that have any."""
    recent = [event.at for event in map(unpack, account.recent_events.get(name, ())) if event.at <= at]
    last, day = max([first, *recent]), at.toordinal()
    for store, series in account.series.items():
        if store == f"days:{name}" or store.startswith(f"amount:{name}:"):
            days = (counted for counted in range(day, last.toordinal(), -1) if _counts(series, counted))
            latest = next(days, None)
            if latest is not None:
                last = min(at, last + timedelta(days=latest - last.toordinal()))
    return last


def _counts(series: Series, day: int) -> bool:
    place = day - series.last - 1
    return -len(series.days) <= place < 0 and series.days[place] != 0


def _key(mark: DecisionMark) -> Key:
    return mark.decision, mark.name
