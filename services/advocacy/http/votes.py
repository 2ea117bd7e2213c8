"""How does a person answer a survey? Looking never votes (mail scanners look too); posting the form does, until it closes."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.advocacy.core.answers import open_survey
from services.advocacy.core.decisions import Invitation
from services.advocacy.core.definitions import Survey
from services.advocacy.core.kinds import ballot, preselected
from services.advocacy.core.refusal import Refused
from services.advocacy.http.hosting import House, answered, form, invited, shown
from services.advocacy.pages import rendering
from services.advocacy.store import asked


def router(house: House) -> APIRouter:
    """No key: the signed link is the permission."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/s/{token:id}")
    async def look(token: str, request: Request) -> Response:
        return await answered(house, _look(house, token, request.query_params.get("score")))

    @routes.post("/s/{token:id}")
    async def vote(token: str, request: Request) -> Response:
        return await answered(house, _vote(house, token, await form(request)))

    return routes


async def _look(house: House, token: str, suggested: str | None) -> Response:
    async with house.context.database.snapshot() as read:
        invitation = await invited(house, read, "survey", token)
        before = await asked.answered(read, invitation.id)
    survey = _open(house, invitation)
    chosen = preselected(house.definitions.kinds[survey.kind], suggested)
    if before is None:
        return _question(house, invitation, survey, chosen)
    return _question(house, invitation, survey, before.score if chosen is None else chosen, before.comment)


async def _vote(house: House, token: str, given: dict[str, str]) -> Response:
    async with house.context.database.transaction() as tx:
        invitation = await invited(house, tx, "survey", token)
        survey = _open(house, invitation)
        kind, comment = house.definitions.kinds[survey.kind], given.get("comment", "")
        try:
            choice = ballot(kind, given.get("score"), comment)
        except Refused as wrong:
            chosen = preselected(kind, given.get("score"))
            return _question(house, invitation, survey, chosen, comment, wrong.reason, 422)
        await house.handlers.answer(tx, invitation, choice)
    return shown(rendering.thanks(house.product, choice.score, invitation.closes_at))


def _open(house: House, invitation: Invitation) -> Survey:
    return open_survey(invitation, house.definitions, house.context.clock.now())


def _question(
    house: House,
    invitation: Invitation,
    survey: Survey,
    chosen: int | None,
    comment: str = "",
    error: str = "",
    status: int = 200,
) -> Response:
    kind = house.definitions.kinds[survey.kind]
    page = rendering.survey(house.product, survey, kind, invitation.closes_at, chosen, comment, error)
    return shown(page, status)
