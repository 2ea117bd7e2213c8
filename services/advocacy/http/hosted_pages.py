"""Hosted pages: a person answers a survey, agrees to refer others, or follows a referral link.

Looking never counts (mail scanners look too); only posting the page's form does. The signed link is the permission, and a
code is made to be passed on: none of these routes takes a key. Every rejection is a page.
"""

import asyncio
from collections.abc import Awaitable
from typing import NamedTuple, assert_never
from urllib.parse import parse_qsl

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from services.advocacy.core.account import Account
from services.advocacy.core.asks import normalise_code, opt_in
from services.advocacy.core.decisions import Invitation, Purpose
from services.advocacy.core.definitions import Definitions, Survey
from services.advocacy.core.errors import Rejected, RejectionKind
from services.advocacy.core.invitations import invitation_of_token
from services.advocacy.core.referral import Code, record_click
from services.advocacy.core.survey_kinds import parse_submission, preselected_score
from services.advocacy.core.surveys import open_survey
from services.advocacy.handlers import Handlers
from services.advocacy.pages import rendering
from services.advocacy.store import invitations, referrals
from shared.db.protocol import Read
from shared.failures import Refused
from shared.links import Links
from shared.service.context import ServiceContext

_MAX_FORM_BYTES = 64 * 1024
_FORM_SECONDS = 15.0


class PageContext(NamedTuple):
    """What the pages are made with. `product` is the company's name for it."""

    product: str
    definitions: Definitions
    handlers: Handlers
    links: Links
    service: ServiceContext


def router(context: PageContext) -> APIRouter:
    """Survey pages under `/s`, referral pages under `/r`, links with a code under `/c`."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/s/{token:id}")
    async def show_survey(token: str, request: Request) -> Response:
        return await _page(context, _show_survey(context, token, request.query_params.get("score")))

    @routes.post("/s/{token:id}")
    async def answer_survey(token: str, request: Request) -> Response:
        return await _page(context, _answer_survey(context, token, await _form(request)))

    @routes.get("/r/{token:id}")
    async def show_ask(token: str) -> Response:
        return await _page(context, _show_ask(context, token))

    @routes.post("/r/{token:id}")
    async def answer_ask(token: str, request: Request) -> Response:
        return await _page(context, _answer_ask(context, token, (await _form(request)).get("choice", "")))

    @routes.get("/c/{code:id}")
    async def follow_code(code: str) -> Response:
        return await _page(context, _follow_code(context, code))

    @routes.post("/c/{code:id}")
    async def click_code(code: str) -> Response:
        return await _page(context, _click_code(context, code))

    return routes


async def _show_survey(context: PageContext, token: str, suggested: str | None) -> Response:
    async with context.service.database.snapshot() as read:
        invitation = await _invitation(context, read, "survey", token)
        previous = await invitations.load_answer(read, invitation.id)
    survey = _open_survey(context, invitation)
    chosen = preselected_score(context.definitions.kinds[survey.kind], suggested)
    if previous is None:
        return _survey_page(context, invitation, survey, chosen)
    return _survey_page(context, invitation, survey, previous.score if chosen is None else chosen, previous.comment)


async def _answer_survey(context: PageContext, token: str, form: dict[str, str]) -> Response:
    async with context.service.database.transaction() as tx:
        invitation = await _invitation(context, tx, "survey", token)
        survey = _open_survey(context, invitation)
        kind, comment = context.definitions.kinds[survey.kind], form.get("comment", "")
        try:
            submission = parse_submission(kind, form.get("score"), comment)
        except Rejected as error:
            chosen = preselected_score(kind, form.get("score"))
            return _survey_page(context, invitation, survey, chosen, comment, error.reason, 422)
        await context.handlers.answer(tx, invitation, submission)
    return _response(rendering.thanks(context.product, submission.score, invitation.closes_at))


def _open_survey(context: PageContext, invitation: Invitation) -> Survey:
    return open_survey(invitation, context.definitions, context.service.clock.now())


def _survey_page(
    context: PageContext,
    invitation: Invitation,
    survey: Survey,
    chosen: int | None,
    comment: str = "",
    error: str = "",
    status: int = 200,
) -> Response:
    kind = context.definitions.kinds[survey.kind]
    page = rendering.survey(context.product, survey, kind, invitation.closes_at, chosen, comment, error)
    return _response(page, status)


async def _show_ask(context: PageContext, token: str) -> Response:
    async with context.service.database.snapshot() as read:
        invitation = await _invitation(context, read, "referral", token)
        account = await context.handlers.accounts.load(read, invitation.account)
    return _ask_page(context, account, invitation)


async def _answer_ask(context: PageContext, token: str, choice: str) -> Response:
    async with context.service.database.transaction() as tx:
        invitation = await _invitation(context, tx, "referral", token)
        if choice == "accept":
            await context.handlers.accept(tx, invitation)
        elif choice == "decline":
            await context.handlers.decline(tx, invitation)
        account = await context.handlers.accounts.load(tx, invitation.account)
    return _ask_page(context, account, invitation, 200 if choice in {"accept", "decline"} else 422)


def _ask_page(context: PageContext, account: Account | None, invitation: Invitation, status: int = 200) -> Response:
    """The page of the ask in its status. Raises Rejected when it is closed: accepting it, without storing that, tells."""
    account = account or Account(id=invitation.account)
    rules, ask = context.definitions.referrals, account.find_ask(invitation.id)
    opt_in(account, invitation.id, rules, context.service.clock.now())
    if ask is not None and ask.status == "accepted":
        code = account.codes[ask.user]
        link = f"{context.service.settings.public}/advocacy/c/{code}"
        return _response(rendering.code(context.product, code, link, rules.rewards), status)
    if ask is not None and ask.status == "declined":
        return _response(rendering.declined(context.product, rules.ask.cooldown_after_decline), status)
    return _response(rendering.referral(context.product, rules.rewards), status)


async def _follow_code(context: PageContext, text: str) -> Response:
    """Looking counts nothing: link scanners fetch this one too."""
    async with context.service.database.snapshot() as read:
        code = await referrals.load_code(read, normalise_code(text))
    return _to_signup(context, _known(code))


async def _click_code(context: PageContext, text: str) -> Response:
    """A company's own page posts here when somebody goes on to sign up: the window counts from it."""
    normalised = normalise_code(text)
    async with context.service.database.transaction() as tx:
        code = _known(await referrals.load_code(tx, normalised))
        code = (await referrals.load_codes_for_update(tx, [normalised]))[normalised] or code
        await referrals.save_code(tx, record_click(code, context.service.clock.now()))
    return _to_signup(context, code)


def _known(code: Code | None) -> Code:
    if code is None:
        raise Rejected("unknown", "Nobody holds this code: perhaps a letter of it was lost on the way.")
    return code


def _to_signup(context: PageContext, code: Code) -> Response:
    """To the company's sign-up, with the code; where there is none, a page with the code."""
    url = context.definitions.referrals.signup_url
    if not url:
        return _response(rendering.closed(context.product, f"Your code is {code.code}: give it when you sign up."))
    onward = f"{url}{'&' if '?' in url else '?'}referral_code={code.code}"
    return Response(status_code=303, headers={**rendering.HEADERS, "Location": onward})


async def _page(context: PageContext, page: Awaitable[Response]) -> Response:
    """The page, or the one that says why there is none."""
    try:
        return await page
    except Rejected as error:
        return _response(rendering.closed(context.product, error.reason), _http_status(error.kind))


def _http_status(kind: RejectionKind) -> int:
    match kind:
        case "closed":
            return 410
        case "unknown":
            return 404
        case "forbidden":
            return 409
        case "invalid":
            return 422
        case _:
            assert_never(kind)


def _response(text: str, status: int = 200) -> Response:
    """A page with its headers."""
    return Response(text, status, dict(rendering.HEADERS))


async def _invitation(context: PageContext, read: Read, purpose: Purpose, token: str) -> Invitation:
    """The invitation of this link. Raises Rejected."""
    invitation_id = invitation_of_token(context.links, purpose, token, context.service.clock.now())
    found = await invitations.load(read, invitation_id)
    if found is None:
        raise Rejected("unknown", "We do not know this invitation.")
    return found


async def _form(request: Request) -> dict[str, str]:
    """The posted fields. Raises Refused: 413 beyond 64 KiB, 408 when it is slow, 400 when it is cut short or no form."""
    try:
        async with asyncio.timeout(_FORM_SECONDS):
            body = await _body(request)
        return dict(parse_qsl(body.decode("utf8", "replace"), keep_blank_values=True, max_num_fields=20))
    except TimeoutError:
        raise Refused("the form did not arrive in time", "slow_body", 408) from None
    except ClientDisconnect:
        raise Refused("the connection ended before the form did", "cut_body") from None
    except ValueError:
        raise Refused("this is not our form", "bad_form") from None


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise Refused(f"the form is over {_MAX_FORM_BYTES} bytes", "too_large", 413)
    return bytes(body)
