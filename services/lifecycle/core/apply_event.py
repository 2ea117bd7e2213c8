"""Applying an event: what it leaves in the account before anything is decided, and what it announces without any rule.

Contacts are the people of an account that can be written to, as identify calls describe them; announced when they change.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from services.lifecycle.core.compiled_definition import CompiledDefinition, CompiledEventClass
from services.lifecycle.core.evaluation import (
    MILESTONES,
    Evaluation,
    Occurrence,
    Reached,
    forget_user,
    note_unreadable,
    reach_milestone,
)
from services.lifecycle.core.metrics.kind import TypedTrait, scalar
from services.lifecycle.core.metrics.traits import GROUP, GivenTrait, set_trait, trait_store
from services.lifecycle.core.state import Contact, PackedEvent, add_recent, unpack
from shared.contracts.evidence import Value
from shared.contracts.lifecycle import ContactChanged, FactObserved, MilestoneReached
from shared.contracts.usage import UsageEvent
from shared.expr import Expr
from shared.values import read_boolean, read_opt_out

MAX_PROPERTIES = 50
_decode = msgspec.json.Decoder(dict[str, Any]).decode
MAX_CONTACTS = 2000
_OPT_OUT = "unsubscribed"
_FIELDS = ("email", "name", "role", "timezone")


def apply_occurrence(
    evaluation: Evaluation, compiled: CompiledDefinition, event: UsageEvent, occurrence: Occurrence, packed: PackedEvent
) -> list[CompiledEventClass]:
    """Fold a tracked event or a view into all that its classes keep. The classes that announce something of it."""
    account, route = evaluation.account, compiled.router.route(event)
    if route.properties:
        occurrence.properties = properties(event)
    announcing: list[CompiledEventClass] = []
    for match in route.matches:
        of = match.event_class
        if of.where is not None and not _fits(of.where, occurrence):
            continue
        feature = match.feature
        occurrence.feature = _feature_of(occurrence, match.feature_property) if feature is None else feature
        evaluation.write(of.writers, occurrence)
        if of.typed:
            _check_traits(evaluation, of.name, of.typed, occurrence.properties)
        add_recent(account, of.name, packed)
        if match.announces:
            announcing.append(of)
    for of in announcing:
        if of.removes_user and (user := _who_left(occurrence)):
            evaluation.write(((compiled.user_stores, forget_user),), user)
    return announcing


def apply_traits(
    evaluation: Evaluation, compiled: CompiledDefinition, traits: dict[str, Any], at: datetime, packed: PackedEvent
) -> None:
    """A group call: the account's traits."""
    bits = evaluation.metrics.bits
    _check_traits(evaluation, GROUP, compiled.typed_traits.values(), traits)
    for name, value in traits.items():
        trait = name[:100]
        evaluation.write(((bits.get(trait_store(trait), 0), set_trait),), GivenTrait(trait, at, value))
    add_recent(evaluation.account, GROUP, packed)


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
            FactObserved, fact=of.name, event=event.id, user=event.user, properties=observed, trust=event.trust
        )
    if of.removes_user and (user := _who_left(occurrence)):
        record_departure(evaluation, user)


def properties(event: UsageEvent) -> dict[str, Any]:
    """The customer's JSON; nothing, where it is no object."""
    try:
        return _decode(event.properties)
    except msgspec.DecodeError:
        return {}


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
    reason = (
        f"A late event moves {milestone} back to {day}." if corrected else f"First {of.name} on {day}: {first.name}."
    )
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


def identify(evaluation: Evaluation, event: UsageEvent, traits: dict[str, Any]) -> None:
    """Merge what the call says; an older identify fills gaps only."""
    if not event.user:
        return
    contacts, opt_out = evaluation.account.contacts, traits.get(_OPT_OUT)
    if opt_out is not None and opt_out != "" and read_boolean(opt_out) is None:
        note_unreadable(evaluation.unreadable, "identify", _OPT_OUT, opt_out)
    before = contacts.get(event.user) or Contact(event.at)
    contact = _merged(before, event, traits)
    if _fields(before) != _fields(contact):
        evaluation.record_decision(ContactChanged, user=event.user, **_fields(contact))
    if event.user not in contacts and len(contacts) >= MAX_CONTACTS:
        del contacts[next(iter(contacts))]
    contacts[event.user] = contact


def record_departure(evaluation: Evaluation, user: str) -> None:
    """The person is gone from the product: no longer a contact."""
    evaluation.record_decision(ContactChanged, user=user, gone=True)


def _merged(before: Contact, event: UsageEvent, traits: dict[str, Any]) -> Contact:
    is_later = event.at >= before.at
    given: dict[str, Any] = {name: text for name in _FIELDS if (text := _text(traits, name))}
    opted_out = read_opt_out(traits.get(_OPT_OUT))
    if opted_out is not None:
        given[_OPT_OUT] = opted_out
    filled = {name: value for name, value in _fields(before).items() if value}
    fields: dict[str, Any] = {**filled, **given} if is_later else {**given, **filled}
    return Contact(max(event.at, before.at), **fields)


def _text(traits: dict[str, Any], name: str) -> str:
    text = traits.get(name)
    if text is None and name == "name":
        text = " ".join(str(traits[each]) for each in ("firstName", "lastName") if traits.get(each))
    return text[:200] if isinstance(text, str) else ""


def _fields(contact: Contact) -> dict[str, Any]:
    return {name: getattr(contact, name) for name in (*_FIELDS, "unsubscribed")}
