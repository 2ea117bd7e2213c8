"""Hosted pages: a person answers a survey, an advocate looks after their own page, a friend lands on a code's.

Looking never counts (mail scanners look too); only posting the page's form does. The signed link is the permission, and a
code is made to be passed on: none of these routes takes a key. A code opens nothing that is the advocate's: their own page has
another link, which is mailed to nobody else. Every rejection is a page.
"""

import asyncio
from collections.abc import Awaitable
from typing import NamedTuple, assert_never
from urllib.parse import parse_qsl

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from services.advocacy.core.account import Account
from services.advocacy.core.asks import TOPIC, first_name, latest_ask, normalise_code, opt_in
from services.advocacy.core.decisions import Invitation, Purpose
from services.advocacy.core.definitions import Definitions, Survey
from services.advocacy.core.errors import Rejected, RejectionKind
from services.advocacy.core.invitations import subject_of_token
from services.advocacy.core.referral import Code, signup_address
from services.advocacy.core.survey_kinds import parse_submission, preselected_score
from services.advocacy.core.surveys import open_survey
from services.advocacy.handlers import Handlers
from services.advocacy.pages import rendering
from services.advocacy.store import invitations, referrals
from shared.db.protocol import Read, Tx
from shared.failures import Refused
from shared.hosted import LOOKING, HostedBrand
from shared.links import Links
from shared.service.context import ServiceContext

_MAX_FORM_BYTES = 64 * 1024
_FORM_SECONDS = 15.0


class PageContext(NamedTuple):
    """What the pages are made with."""

    brand: HostedBrand
    definitions: Definitions
    handlers: Handlers
    links: Links
    service: ServiceContext


def router(context: PageContext) -> APIRouter:
    """Survey pages under `/s`, advocates' own pages under `/r`, the public pages of their codes under `/c`."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/s/{token:id}", methods=LOOKING)
    async def show_survey(token: str, request: Request) -> Response:
        return await _page(context, _show_survey(context, token, request.query_params.get("score")))

    @routes.post("/s/{token:id}")
    async def answer_survey(token: str, request: Request) -> Response:
        return await _page(context, _answer_survey(context, token, await _form(request)))

    @routes.api_route("/r/{token:id}", methods=LOOKING)
    async def show_advocate(token: str) -> Response:
        return await _page(context, _show_advocate(context, token))

    @routes.post("/r/{token:id}")
    async def answer_advocate(token: str, request: Request) -> Response:
        return await _page(context, _answer_advocate(context, token, await _form(request)))

    @routes.api_route("/c/{code:id}", methods=LOOKING)
    async def land(code: str) -> Response:
        return await _page(context, _land(context, code))

    @routes.post("/c/{code:id}")
    async def click_code(code: str) -> Response:
        return await _page(context, _click_code(context, code))

    @routes.post("/c/{code:id}/page")
    async def mail_page(code: str) -> Response:
        return await _page(context, _mail_page(context, code))

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
    return _response(context, rendering.thanks(context.brand, submission.score, invitation.closes_at))


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
    page = rendering.survey(context.brand, survey, kind, invitation.closes_at, chosen, comment, error)
    return _response(context, page, status)


class Advocate(NamedTuple):
    """Whose page it is. `ask` is the request that brought them, None where an earlier tool gave out their code."""

    account: Account
    user: str
    ask: Invitation | None

    @property
    def code(self) -> str:
        """The code they hold; empty until they say yes."""
        return self.account.codes.get(self.user, "")

    @property
    def first_name(self) -> str:
        """What a friend might call them; empty where their name is not known."""
        contact = self.account.contacts.get(self.user)
        return first_name(contact.name) if contact else ""

    @property
    def never(self) -> bool:
        """Whether they want to be asked no more."""
        contact = self.account.contacts.get(self.user)
        return contact is not None and TOPIC in contact.unsubscribed_topics


async def _show_advocate(context: PageContext, token: str) -> Response:
    _require_programme(context)
    async with context.service.database.snapshot() as read:
        advocate = await _advocate(context, read, token)
        held = await referrals.load_code(read, advocate.code) if advocate.code else None
    return _advocate_page(context, advocate, held)


async def _answer_advocate(context: PageContext, token: str, form: dict[str, str]) -> Response:
    _require_programme(context)
    choice = form.get("choice", "")
    async with context.service.database.transaction() as tx:
        known = await _act(context.handlers, tx, await _advocate(context, tx, token), form)
        advocate = await _advocate(context, tx, token)
        held = await referrals.load_code(tx, advocate.code) if advocate.code else None
    if choice == "never":
        return _response(context, rendering.opted_out(context.brand))
    return _advocate_page(context, advocate, held, 200 if known else 422, saved=choice == "name")


async def _act(handlers: Handlers, tx: Tx, advocate: Advocate, form: dict[str, str]) -> bool:
    """Do what the button says. Whether there is such a button. Raises Rejected."""
    account, user, ask = advocate.account.id, advocate.user, advocate.ask
    match form.get("choice", ""):
        case "accept" if ask is not None:
            await handlers.accept(tx, ask)
            if "show_name" in form:
                await handlers.show_name(tx, account, user, shown=True)
        case "decline" if ask is not None:
            await handlers.decline(tx, ask)
        case "name":
            await handlers.show_name(tx, account, user, shown="show_name" in form)
        case "never":
            await handlers.opt_out(tx, account, user)
        case _:
            return False
    return True


def _advocate_page(
    context: PageContext, advocate: Advocate, held: Code | None, status: int = 200, *, saved: bool = False
) -> Response:
    """Their page as things stand. Raises Rejected where the ask is withdrawn: accepting it, without storing that, tells."""
    rules, brand = context.definitions.referrals, context.brand
    if advocate.code:
        link = context.handlers.addresses.share(advocate.code)
        named = bool(held and held.shown_name)
        return _response(
            context,
            rendering.code(
                brand,
                advocate.code,
                link,
                rules.rewards,
                advocate.first_name,
                named=named,
                saved=saved,
                never=advocate.never,
            ),
            status,
        )
    if advocate.ask is None:
        raise Rejected("unknown", "We do not know this invitation.")
    opt_in(advocate.account, advocate.ask.id, rules, context.service.clock.now())
    ask = advocate.account.find_ask(advocate.ask.id)
    if ask is not None and ask.status == "declined":
        return _response(
            context, rendering.declined(brand, rules.ask.cooldown_after_decline, never=advocate.never), status
        )
    return _response(context, rendering.referral(brand, rules.rewards, advocate.first_name), status)


async def _advocate(context: PageContext, read: Read, token: str) -> Advocate:
    """Whose page this link is: of an invitation, or of whoever holds a code. Raises Rejected."""
    subject = subject_of_token(context.links, "referral", token, context.service.clock.now())
    if "code" in subject:
        held = _known(await referrals.load_code(read, subject["code"]))
        account = await context.handlers.accounts.load(read, held.account) or Account(id=held.account)
        ask = latest_ask(account, held.user)
        return Advocate(account, held.user, await invitations.load(read, ask.id) if ask else None)
    found = await invitations.load(read, subject["invitation"])
    if found is None:
        raise Rejected("unknown", "We do not know this invitation.")
    account = await context.handlers.accounts.load(read, found.account) or Account(id=found.account)
    return Advocate(account, found.user, found)


async def _land(context: PageContext, text: str) -> Response:
    """What a friend sees. Looking counts nothing: link scanners fetch this page too."""
    _require_programme(context)
    async with context.service.database.snapshot() as read:
        code = _known(await referrals.load_code(read, normalise_code(text)))
    return _landing_page(context, code)


async def _click_code(context: PageContext, text: str) -> Response:
    """A company's own page posts here when somebody goes on to sign up: the window counts from it."""
    _require_programme(context)
    normalised = normalise_code(text)
    async with context.service.database.transaction() as tx:
        code = _known(await referrals.load_code(tx, normalised))
        await context.handlers.click(tx, code)
    onward = signup_address(context.definitions.referrals.signup_url, code.code)
    if not onward:
        return _landing_page(context, code)
    return Response(status_code=303, headers={**context.brand.headers, "Location": onward})


async def _mail_page(context: PageContext, text: str) -> Response:
    """Whoever asks, only the holder of the code gets the mail: the answer is the same for everybody."""
    _require_programme(context)
    async with context.service.database.transaction() as tx:
        code = _known(await referrals.load_code(tx, normalise_code(text)))
        if not context.definitions.referrals.ask.page_play:
            raise Rejected("unknown", "There is no such page here.")
        await context.handlers.mail_page(tx, code)
    return _response(context, rendering.page_mailed(context.brand))


def _landing_page(context: PageContext, code: Code) -> Response:
    rules = context.definitions.referrals
    onward = signup_address(rules.signup_url, code.code)
    own_page = f"/advocacy/c/{code.code}/page" if rules.ask.page_play else ""
    return _response(context, rendering.landing(context.brand, code, rules, onward, own_page))


def _known(code: Code | None) -> Code:
    if code is None:
        raise Rejected("unknown", "Nobody holds this code: perhaps a letter of it was lost on the way.")
    return code


def _require_programme(context: PageContext) -> None:
    """Raises Rejected where the company has ended its programme."""
    if not context.definitions.referrals.enabled:
        raise Rejected("ended", "")


async def _page(context: PageContext, page: Awaitable[Response]) -> Response:
    """The page, or the one that says why there is none."""
    signup = context.definitions.referrals.signup_url
    try:
        return await page
    except Rejected as error:
        text = (
            rendering.ended(context.brand, signup)
            if error.kind == "ended"
            else rendering.closed(context.brand, error.reason, known=error.kind != "unknown")
        )
        return _response(context, text, _http_status(error.kind))


def _http_status(kind: RejectionKind) -> int:
    match kind:
        case "closed" | "ended":
            return 410
        case "unknown":
            return 404
        case "forbidden":
            return 409
        case "invalid":
            return 422
        case _:
            assert_never(kind)


def _response(context: PageContext, text: str, status: int = 200) -> Response:
    """A page with its headers."""
    return Response(text, status, dict(context.brand.headers))


async def _invitation(context: PageContext, read: Read, purpose: Purpose, token: str) -> Invitation:
    """The invitation of this link. Raises Rejected."""
    subject = subject_of_token(context.links, purpose, token, context.service.clock.now())
    found = await invitations.load(read, subject["invitation"])
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
