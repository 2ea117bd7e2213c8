"""Diagram of the stage machine: stages one below the other, transitions as arrows, drawn as SVG without any library.

A step to the next stage goes straight down. Steps ahead over other stages bow out on the right, steps back on the left; the
farther one goes, the wider its bow.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_BOX_WIDTH, _BOX_HEIGHT, _GAP = 170, 44, 34
_BOW, _MARGIN = 20, 12
_SPREAD = 8


class Box(NamedTuple):
    """A stage: its name, whether it is terminal, and the corner at its top left."""

    stage: str
    terminal: bool
    x: float
    y: float


class Arrow(NamedTuple):
    """A transition: the SVG path, where it goes, and what it asks for."""

    path: str
    source: str
    to: str
    words: str
    back: bool


class Drawing(NamedTuple):
    """Everything to draw, in a space of this size."""

    width: float
    height: float
    box_width: float
    box_height: float
    boxes: Sequence[Box]
    arrows: Sequence[Arrow]


def drawing(stages: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]]) -> Drawing:
    """The machine of lifecycle's answer; an edge to or from a stage that is not listed is left out."""
    names = [str(stage.get("stage")) for stage in stages]
    place = {name: index for index, name in enumerate(names)}
    known = [edge for edge in edges if edge.get("source") in place and edge.get("to") in place]
    spans = [place[str(edge["to"])] - place[str(edge["source"])] for edge in known]
    left = _MARGIN + _BOW * max((-span for span in spans if span < 0), default=0)
    right = _MARGIN + _BOW * max((span for span in spans if span > 1), default=0)
    boxes = [
        Box(name, bool(stage.get("terminal")), left, _MARGIN + index * (_BOX_HEIGHT + _GAP))
        for index, (name, stage) in enumerate(zip(names, stages, strict=True))
    ]
    of = {box.stage: box for box in boxes}
    arrows = [
        _arrow(edge, of[str(edge["source"])], of[str(edge["to"])], span)
        for edge, span in zip(known, spans, strict=True)
    ]
    height = 2 * _MARGIN + len(boxes) * (_BOX_HEIGHT + _GAP) - _GAP
    return Drawing(left + _BOX_WIDTH + right, height, _BOX_WIDTH, _BOX_HEIGHT, boxes, arrows)


def _arrow(edge: Mapping[str, Any], source: Box, to: Box, span: int) -> Arrow:
    back = span < 0
    if span == 1:
        middle = source.x + _BOX_WIDTH / 2
        path = f"M{middle:g} {source.y + _BOX_HEIGHT:g} L{middle:g} {to.y - 2:g}"
    else:
        side, bow = (source.x, -_BOW) if back else (source.x + _BOX_WIDTH, _BOW)
        begin, end = source.y + _BOX_HEIGHT / 2, to.y + _BOX_HEIGHT / 2 + (_SPREAD if back else -_SPREAD)
        far, tip = side + bow * abs(span) * 4 / 3, side + (-2 if back else 2)
        path = f"M{side:g} {begin:g} C{far:g} {begin:g} {far:g} {end:g} {tip:g} {end:g}"
    return Arrow(path, source.stage, to.stage, str(edge.get("words") or ""), back)
