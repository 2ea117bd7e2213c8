"""Applying an event: what it leaves in the account before anything is decided, and what it announces without any rule.

What a browser says leaves activity only: no event of a trusted class, no trait but the descriptive ones that no trusted
source told. The rest is noted as untrusted claims.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.lifecycle.core.compiled_definition import CompiledDefinition, CompiledEventClass, Match
from services.lifecycle.core.contacts import record_departure
from services.lifecycle.core.evaluation import (
    MILESTONES,
    Evaluation,
    Occurrence,
    Reached,
    Removed,
    UntrustedClaim,
    forget_user,
    note_unreadable,
    reach_milestone,
)
from services.lifecycle.core.metrics.kind import TypedTrait, scalar
from services.lifecycle.core.metrics.traits import GROUP, GivenTrait, set_trait, trait_store
from services.lifecycle.core.state import MAX_EVENTS, Moment, PackedEvent, add_recent, tie_of, unpack
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import FactObserved, MilestoneReached
from shared.contracts.usage import HISTORY_ENDED, UsageEvent
from shared.expr import Expr
from shared.wording import spoken

MAX_PROPERTIES = 50
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def apply_occurrence(
    evaluation: Evaluation, compiled: CompiledDefinition, event: UsageEvent, occurrence: Occurrence, packed: PackedEvent
) -> Sequence[CompiledEventClass]:
    """Fold a tracked event or a view into all that its classes keep. The classes that announce something of it."""
    route = compiled.router.route(event)
    if route.properties:
        occurrence.properties = properties(event)
        occurrence.about_mail = route.about_mail
    plain = route.plain
    if plain is not None:
        occurrence.feature = plain.feature
        evaluation.write(plain.writers, occurrence)
        recent = evaluation.account.recent_events
        for name in plain.names:
            events = recent.get(name)
            if events is None or len(events) < MAX_EVENTS or packed < events[-1]:
                add_recent(evaluation.account, name, packed)
            else:  # as most are: the question costs less than the call
                events.append(packed)
                del events[0]
        return plain.announcing
    return _apply_matches(evaluation, compiled, event, occurrence, packed, route.matches)


def _apply_matches(
    evaluation: Evaluation,
    compiled: CompiledDefinition,
    event: UsageEvent,
    occurrence: Occurrence,
    packed: PackedEvent,
    matches: Iterable[Match],
) -> Sequence[CompiledEventClass]:
    """One class after another, each as far as it lets this event in."""
    account, trusted, announcing = evaluation.account, occurrence.trusted, list[CompiledEventClass]()
    for match in matches:
        of = match.event_class
        if of.where is not None and not _fits(of.where, occurrence):
            continue
        if not trusted and of.trusted:
            evaluation.claims.append(UntrustedClaim(of.name, "", event.name))
            continue
        feature = match.feature
        occurrence.feature = _feature_of(occurrence, match.feature_property) if feature is None else feature
        evaluation.write(of.writers if trusted else of.browser_writers, occurrence)
        if not trusted and of.sets:
            _claim_properties(evaluation, compiled, of, occurrence)
        elif of.typed:
            _check_traits(evaluation, of.name, of.typed, occurrence.properties)
        add_recent(account, of.name, packed)
        if match.announces:
            announcing.append(of)
    for of in announcing:
        if of.removes_user and (user := _who_left(occurrence)):
            evaluation.write(((compiled.user_stores, forget_user),), Removed(user, occurrence.at))
    return announcing


def apply_traits(
    evaluation: Evaluation, compiled: CompiledDefinition, event: UsageEvent, at: datetime, packed: PackedEvent
) -> None:
    """A group call: the account's traits."""
    traits = properties(event)
    if not event.is_trusted:
        claim_traits(evaluation, compiled, GROUP, traits, (at, tie_of(event.id)))
        return
    _check_traits(evaluation, GROUP, compiled.typed_traits.values(), traits)
    tie = tie_of(event.id)
    for name, value in traits.items():
        _give(evaluation, GivenTrait(name[:100], at, value, tie))
    add_recent(evaluation.account, GROUP, packed)


def claim_traits(
    evaluation: Evaluation, compiled: CompiledDefinition, event_class: str, traits: dict[str, Any], when: Moment
) -> None:
    """A browser tells traits: it fills those that it may, where no trusted source told them; anything else is noted."""
    account, (at, tie) = evaluation.account, when
    for long_name, value in traits.items():
        name = long_name[:100]
        known = account.traits.get(name) if name not in account.browser_traits else None
        if known is None and name in compiled.browser_traits:
            _give(evaluation, GivenTrait(name, at, value, tie, trusted=False))
        elif known is None or known.value != scalar(value):
            evaluation.claims.append(UntrustedClaim(event_class, name, value))


def note_claims(evaluation: Evaluation, event: UsageEvent) -> None:
    """Note what was claimed of the event itself."""
    name = event.name or event.type
    evaluation.claims += [UntrustedClaim(name, claim, event.user) for claim in event.claims]
    if event.name == HISTORY_ENDED and not event.is_trusted:
        evaluation.claims.append(UntrustedClaim(name, "", event.account))


def announce(
    evaluation: Evaluation, of: CompiledEventClass, event: UsageEvent, occurrence: Occurrence, packed: PackedEvent
) -> None:
    """Everything this class's events say by themselves: milestones, facts, people who left."""
    for milestone in of.milestones:
        before = evaluation.account.milestones.get(milestone)
        if before is None or occurrence.at < before:
            _reach(evaluation, milestone, occurrence.at, of, packed, corrected=before is not None)
    if of.is_fact:
        observed = _scalars(occurrence.properties)
        evaluation.record_decision(
            FactObserved,
            fact=of.name,
            event=event.id,
            user=event.user,
            properties=observed,
            trust=event.trust,
            snapshot=evaluation.snapshot(),
        )
    if of.removes_user and (user := _who_left(occurrence)):
        record_departure(evaluation, user, occurrence.at)


def properties(event: UsageEvent) -> dict[str, Any]:
    """The customer's JSON; nothing, where it is no object."""
    try:
        return _decode(event.properties)
    except msgspec.DecodeError:
        return {}


def _claim_properties(
    evaluation: Evaluation, compiled: CompiledDefinition, of: CompiledEventClass, occurrence: Occurrence
) -> None:
    given = occurrence.properties
    traits = {trait: given[source] for trait, source in of.sets if source in given}
    claim_traits(evaluation, compiled, of.name, traits, (occurrence.at, tie_of(occurrence.id)))


def _give(evaluation: Evaluation, given: GivenTrait) -> None:
    evaluation.write(((evaluation.metrics.bits.get(trait_store(given.name), 0), set_trait),), given)


def _reach(
    evaluation: Evaluation,
    milestone: str,
    at: datetime,
    of: CompiledEventClass,
    packed: PackedEvent,
    *,
    corrected: bool,
) -> None:
    """The date of a milestone is the earliest ever seen: a late event moves it back, which is announced as a correction."""
    evaluation.write_one(MILESTONES, reach_milestone, Reached(milestone, at))
    first, day = unpack(packed), f"{at:%Y-%m-%d}"
    told = f"First {spoken(of.name)} on {day}: {spoken(first.name)}."
    reason = f"A late event moves {spoken(milestone)} back to {day}." if corrected else told
    evaluation.record_decision(
        MilestoneReached,
        milestone=milestone,
        reached_at=at,
        corrected=corrected,
        evidence=evaluation.evidence(milestone, reason, [first]),
        snapshot=evaluation.snapshot(),
    )


def _who_left(occurrence: Occurrence) -> str:
    """The person named in the event; an administrator who removes somebody is not the one who left."""
    user = occurrence.properties.get("user_id", occurrence.properties.get("userId"))
    return user if isinstance(user, str) and user else occurrence.user


def _scalars(of_event: dict[str, Any]) -> dict[str, Value]:
    """The event's own properties, as far as they are scalars."""
    found = ((name, scalar(value)) for name, value in of_event.items())
    return dict([(name, value) for name, value in found if value is not None][:MAX_PROPERTIES])


def _check_traits(evaluation: Evaluation, event_class: str, typed: Iterable[TypedTrait], given: dict[str, Any]) -> None:
    for name, read in typed:
        value = given.get(name)
        if value is not None and read(value) is None:
            note_unreadable(evaluation.unreadable, event_class, name, value)


def _feature_of(occurrence: Occurrence, name: str) -> str:
    feature = occurrence.properties.get(name)
    return feature if isinstance(feature, str) else ""


def _fits(where: Expr, occurrence: Occurrence) -> bool:
    return where.holds({name: scalar(occurrence.properties.get(name)) for name in where.names})
