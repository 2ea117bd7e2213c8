"""Where does an edge lead from, and what is it called?"""

from services.lifecycle.core.definition.model import Definition, Edge


def edge_name(edge: Edge) -> str:
    """What evidence calls the edge."""
    return edge.name or f"{'|'.join(_from(edge))}->{edge.to}"


def sources(definition: Definition, edge: Edge) -> list[str]:
    """The stages it leads out of; `*` is every stage that is not terminal, but never its own target."""
    if edge.from_ == "*":
        return [name for name, stage in definition.stages.items() if not stage.terminal and name != edge.to]
    return _from(edge)


def _from(edge: Edge) -> list[str]:
    return [edge.from_] if isinstance(edge.from_, str) else edge.from_
