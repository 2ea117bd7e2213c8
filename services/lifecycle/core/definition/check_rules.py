"""Are the rules sound? Conditions over declared metrics, durations, reasons that can be told."""

from collections.abc import Iterator

from services.lifecycle.core.definition.findings import Findings
from services.lifecycle.core.definition.model import Edge, Flag, Signal
from shared.definitions import Mistake


def rule_mistakes(find: Findings) -> Iterator[Mistake]:
    definition = find.definition
    for index, edge in enumerate(definition.edges):
        yield from _edge(find, index, edge)
    for name, flag in definition.flags.items():
        yield from _flag(find, name, flag)
    for name, signal in definition.signals.items():
        yield from _signal(find, name, signal)


def _edge(find: Findings, index: int, edge: Edge) -> Iterator[Mistake]:
    at = ("edges", index)
    yield from find.when((*at, "when"), edge.when)
    yield from find.unless((*at, "unless"), edge.unless)
    yield from find.duration((*at, "hold"), edge.hold)
    yield from find.duration((*at, "min_dwell"), edge.min_dwell)
    yield from find.reason((*at, "reason"), edge.reason)


def _flag(find: Findings, name: str, flag: Flag) -> Iterator[Mistake]:
    at = ("flags", name)
    yield from find.when((*at, "raise_when"), flag.raise_when)
    yield from find.unless((*at, "raise_unless"), flag.raise_unless)
    yield from find.duration((*at, "hold"), flag.hold)
    yield from find.when((*at, "clear_when"), flag.clear_when)
    yield from find.unless((*at, "clear_unless"), flag.clear_unless)
    yield from find.duration((*at, "clear_hold"), flag.clear_hold)
    yield from find.reason((*at, "reason"), flag.reason)


def _signal(find: Findings, name: str, signal: Signal) -> Iterator[Mistake]:
    at = ("signals", name)
    yield from find.when((*at, "when"), signal.when)
    yield from find.unless((*at, "unless"), signal.unless)
    yield from find.duration((*at, "hold"), signal.hold)
    yield from find.duration((*at, "cooldown"), signal.cooldown)
    yield from find.reason((*at, "reason"), signal.reason)
