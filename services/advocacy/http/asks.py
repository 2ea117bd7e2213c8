"""How does a person agree to refer others, and where does their link lead? Only the buttons of the page decide anything."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.advocacy.core import codes
from services.advocacy.core.account import Account
from services.advocacy.core.decisions import Invitation
from services.advocacy.core.opting import opt_in
from services.advocacy.core.referral import Code
from services.advocacy.core.refusal import Refused
from services.advocacy.core.settling import clicked
from services.advocacy.http.hosting import House, answered, form, invited, shown
from services.advocacy.pages import rendering
from services.advocacy.store import accounts, referrals


def router(house: House) -> APIRouter:
    """No key: the signed link is the permission, and a code is made to be passed on."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/r/{token:id}")
    async def look(token: str) -> Response:
        return await answered(house, _look(house, token))

    @routes.post("/r/{token:id}")
    async def choose(token: str, request: Request) -> Response:
        return await answered(house, _choose(house, token, (await form(request)).get("choice", "")))

    @routes.get("/c/{code:id}")
    async def follow(code: str) -> Response:
        return await answered(house, _follow(house, code))

    @routes.post("/c/{code:id}")
    async def click(code: str) -> Response:
        return await answered(house, _click(house, code))

    return routes


async def _look(house: House, token: str) -> Response:
    async with house.context.database.snapshot() as read:
        invitation = await invited(house, read, "referral", token)
        account = await accounts.one(read, invitation.account)
    return _page(house, account, invitation)


async def _choose(house: House, token: str, choice: str) -> Response:
    async with house.context.database.transaction() as tx:
        invitation = await invited(house, tx, "referral", token)
        if choice == "accept":
            await house.handlers.accept(tx, invitation)
        elif choice == "decline":
            await house.handlers.decline(tx, invitation)
        account = await accounts.one(tx, invitation.account)
    return _page(house, account, invitation, 200 if choice in {"accept", "decline"} else 422)


def _page(house: House, account: Account, invitation: Invitation, status: int = 200) -> Response:
    """The page of the ask as it stands. Raises the core's Refused when it is closed: trying to accept tells."""
    rules, ask = house.definitions.referrals, account.asked(invitation.id)
    opt_in(account, invitation.id, rules, house.context.clock.now())
    if ask is not None and ask.status == "accepted":
        code = account.codes[ask.user]
        link = f"{house.context.settings.public}/advocacy/c/{code}"
        return shown(rendering.code(house.product, code, link, rules.rewards), status)
    if ask is not None and ask.status == "declined":
        return shown(rendering.declined(house.product, rules.ask.cooldown_after_decline), status)
    return shown(rendering.referral(house.product, rules.rewards), status)


async def _follow(house: House, text: str) -> Response:
    """Looking counts nothing: whoever fetches links for a living fetches this one too."""
    async with house.context.database.snapshot() as read:
        held = await referrals.held_code(read, codes.read(text))
    return _onward(house, _held(held))


async def _click(house: House, text: str) -> Response:
    """A company's own page posts here when somebody goes on to sign up: the window counts from it."""
    name = codes.read(text)
    async with house.context.database.transaction() as tx:
        held = _held(await referrals.held_code(tx, name))
        held = (await referrals.hold_codes(tx, [name]))[name] or held
        await referrals.issue(tx, clicked(held, house.context.clock.now()))
    return _onward(house, held)


def _held(code: Code | None) -> Code:
    if code is None:
        raise Refused("unknown", "Nobody holds this code: perhaps a letter of it was lost on the way.")
    return code


def _onward(house: House, held: Code) -> Response:
    """To the company's sign-up, with the code; where there is none, at least the code."""
    url = house.definitions.referrals.signup_url
    if not url:
        return shown(rendering.closed(house.product, f"Your code is {held.code}: give it when you sign up."))
    onward = f"{url}{'&' if '?' in url else '?'}referral_code={held.code}"
    return Response(status_code=303, headers={**rendering.HEADERS, "Location": onward})
