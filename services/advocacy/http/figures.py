"""What do a survey's answers come to? Counts, shares and their intervals, from how often each score was given."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row

from services.advocacy.core.definitions import Definitions
from services.advocacy.core.kinds import Kind
from services.advocacy.core.statistics import Estimate, share
from services.advocacy.http.models import Figure, SurveyView


def surveys(definitions: Definitions, sent: dict[str, tuple[int, int]], scores: Iterable[Row[Any]]) -> list[SurveyView]:
    """The company's surveys in their order, then those of other tools by name."""
    given: dict[tuple[str, str], list[Row[Any]]] = {(one.name, one.kind): [] for one in definitions.surveys}
    for row in scores:
        given.setdefault((row.survey, row.survey_kind), []).append(row)
    return [
        _survey(definitions, name, definitions.kinds[kind], sent.get(name, (0, 0)), rows)
        for (name, kind), rows in given.items()
        if kind in definitions.kinds
    ]


def _survey(definitions: Definitions, name: str, kind: Kind, sent: tuple[int, int], rows: list[Row[Any]]) -> SurveyView:
    defined = definitions.survey(name)
    ours = defined is not None and defined.kind == kind.name
    reached, answered = sent if ours else (0, 0)
    return SurveyView(
        name=name,
        kind=kind.name,
        question=defined.question if defined is not None and ours else None,
        sent=reached,
        answered=answered,
        imported=sum(row.number for row in rows if row.imported),
        response=_figure(share(answered, reached)),
        score=_figure(kind.summary([row.score for row in rows for _ in range(row.number)])),
        groups=_groups(kind, rows),
    )


def _groups(kind: Kind, rows: list[Row[Any]]) -> dict[str, int]:
    """Every group of the kind, the best first, with those that nobody is in."""
    counted = Counter(dict.fromkeys((kind.groups(score) for score in reversed(kind.scores)), 0))
    for row in rows:
        counted[kind.groups(row.score)] += row.number
    return dict(counted)


def _figure(estimate: Estimate | None) -> Figure | None:
    return None if estimate is None else Figure(**estimate._asdict())
