"""Is the stage machine sound? Known stages, no loop of one, every stage reachable, every rule with its own name."""

from collections import Counter
from collections.abc import Iterator

from services.lifecycle.core.definition.edges import edge_name, sources
from services.lifecycle.core.definition.findings import Findings
from services.lifecycle.core.definition.model import Edge
from shared.definitions import At, Mistake


def graph_mistakes(find: Findings) -> Iterator[Mistake]:
    if not find.definition.stages:
        yield find.at(("stages",), "no stages")
        return
    for index, edge in enumerate(find.definition.edges):
        yield from _ends(find, ("edges", index), edge)
    yield from _names(find)
    yield from _unreachable(find)


def _ends(find: Findings, at: At, edge: Edge) -> Iterator[Mistake]:
    definition = find.definition
    yield from find.stage((*at, "to"), edge.to)
    leaves = sources(definition, edge)
    for name in leaves:
        yield from find.stage((*at, "from"), name)
    if edge.to in leaves:
        yield find.at((*at, "to"), f"the edge leads from '{edge.to}' to itself")
    stands_still = [name for name in leaves if name in definition.stages and definition.stages[name].terminal]
    if stands_still and (edge.hold, edge.min_dwell) != ("0d", "0d"):
        yield find.at((*at, "hold"), f"time stands still in '{stands_still[0]}': an edge out of it cannot wait")


def _names(find: Findings) -> Iterator[Mistake]:
    names = [edge_name(edge) for edge in find.definition.edges]
    taken = Counter(names)
    for index, name in enumerate(names):
        if taken[name] > 1:
            yield find.at(("edges", index), f"{taken[name]} edges are called '{name}': give each a 'name'")
        if name in find.definition.signals:
            yield find.at(("edges", index), f"edge and signal are both called '{name}'")


def _unreachable(find: Findings) -> Iterator[Mistake]:
    definition = find.definition
    reached, frontier = set[str](), {next(iter(definition.stages))}
    while frontier:
        reached |= frontier
        frontier = {edge.to for edge in definition.edges if reached & set(sources(definition, edge))} - reached
    for name in definition.stages:
        if name not in reached:
            yield find.at(("stages", name), f"no edges lead to stage '{name}' from the first one")
