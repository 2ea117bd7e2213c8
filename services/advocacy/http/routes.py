"""Which routes are there? What was answered, who referred whom, what that is worth, and what could not be taken."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from sqlalchemy import Row

from services.advocacy.core.definitions import Definitions
from services.advocacy.http import money
from services.advocacy.http.figures import surveys
from services.advocacy.http.models import AnswerView, NoteKind, NoteView, SurveyView
from services.advocacy.http.places import Moment, Text, place
from services.advocacy.store import listing
from shared.failures import Refused
from shared.http.auth import allowed
from shared.http.paging import MOST, Page, cursor
from shared.service.context import ServiceContext

Cursor = Annotated[str | None, Query(alias="cursor", description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=MOST)]
Name = Annotated[str, Path(pattern=r"^[^\x00]{1,200}$")]


def router(context: ServiceContext, definitions: Definitions) -> APIRouter:
    """Every route takes a key of kind read; moving money takes admin."""
    routes = APIRouter(prefix="/v1", dependencies=[Depends(allowed(context.keys, "read"))])
    routes.include_router(money.router(context))

    @routes.get("/surveys", tags=["surveys"])
    async def list_surveys(
        since: Annotated[datetime | None, Query(description="count answers from then on, with a time zone")] = None,
    ) -> list[SurveyView]:
        """Every survey with its response rate and its score."""
        if since is not None and since.tzinfo is None:
            raise Refused("`since` needs a time zone, like 2026-11-22T12:00:00Z", "no_time_zone", 422)
        async with context.database.snapshot() as read:
            return surveys(definitions, await listing.sent(read), await listing.scores(read, since))

    @routes.get("/surveys/{name:id}/answers", tags=["surveys"])
    async def list_answers(name: Name, at: Cursor = None, limit: Limit = 100) -> Page[AnswerView]:
        """One survey's answers, the latest first."""
        start = place(at, Moment, Text)
        async with context.database.snapshot() as read:
            rows = await listing.answers(read, name, (start[0], start[1]) if start else None, limit + 1)
        if not rows and not start and definitions.survey(name) is None:
            raise Refused(f"there is no survey '{name}', and no answers to one", "no_survey", 404)
        items = [_answer(row, definitions) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(items=items, next=cursor([items[-1].at.isoformat(), items[-1].id]) if more else None)

    @routes.get("/notes", tags=["surveys"])
    async def list_notes(kind: NoteKind | None = None, at: Cursor = None, limit: Limit = 100) -> Page[NoteView]:
        """What was due and not done, and why, the latest first."""
        start = place(at, Moment, Text)
        async with context.database.snapshot() as read:
            rows = await listing.notes(read, kind, (start[0], start[1]) if start else None, limit + 1)
        items = [NoteView(**row._mapping) for row in rows[:limit]]  # noqa: SLF001  SQLAlchemy's name for it
        more = len(rows) > limit
        return Page(items=items, next=cursor([items[-1].at.isoformat(), items[-1].id]) if more else None)

    return routes


def _answer(row: Row[Any], definitions: Definitions) -> AnswerView:
    kind = definitions.kinds.get(row.survey_kind)
    return AnswerView(**row._mapping, group=kind.groups(row.score) if kind else "")  # noqa: SLF001
