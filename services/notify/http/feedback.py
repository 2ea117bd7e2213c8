"""Feedback API: providers post bounces and complaints, a mailbox's script posts the reports that came as mail."""

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from services.notify.core.feedback import Report, UnreadableFeedback, read_json, read_mail
from services.notify.core.signatures import Signer, is_signed, read_signers
from services.notify.handlers.feedback import take_feedback
from services.notify.persons import Persons
from shared.failures import Refused
from shared.http.auth import require_caller
from shared.keys import Key
from shared.service.context import ServiceContext
from shared.settings import Settings

_log = structlog.get_logger(__name__)
_MAX_URL = 2000


class FeedbackView(BaseModel):
    """What became of the reports. `unbelieved`: by mail, and naming no delivery of ours to that address."""

    suppressed: int
    known: int
    unbelieved: int


def router(context: ServiceContext, persons: Persons) -> APIRouter:
    """Takes a key of kind server or admin: as Bearer, X-Api-Key, or as the password of HTTP Basic, which is all SNS can do.

    Where the settings name who signs, what comes with a server key has to be signed. Raises Refused for a setting that names nobody.
    """
    signers = _signers(context.settings)
    routes = APIRouter(prefix="/v1/feedback", tags=["feedback"])
    caller = Depends(require_caller(context.keys, ("server", "admin")))

    async def take(reports: list[Report], key: Key) -> FeedbackView:
        async with context.database.transaction() as tx:
            taken = await take_feedback(tx, reports, persons, f"feedback:{key.name}", context.clock.now())
        return FeedbackView(**taken._asdict())

    @routes.post("")
    async def feedback(request: Request, key: Annotated[Key, caller]) -> FeedbackView:
        """Bounces, complaints and unsubscribes: `{type, address, at, reason}`, one or a list, or as SES (over SNS), SendGrid, Postmark or Mailgun post them."""
        body = await request.body()
        if signers and key.kind != "admin" and not is_signed(signers, request.headers, body, context.clock.now()):
            raise Refused(
                "this installation takes reports that a provider has signed; this one is not", "unsigned", 401
            )
        try:
            reports = read_json(body)
        except UnreadableFeedback as error:
            raise Refused(str(error), "unreadable_feedback") from None
        _mention_subscription(await _first_object(request))
        return await take(reports, key)

    @routes.post("/mail")
    async def feedback_mail(request: Request, key: Annotated[Key, caller]) -> FeedbackView:
        """A report that came as mail, as it is: a delivery status notification (RFC 3464) or an abuse report (RFC 5965)."""
        try:
            reports = read_mail(await request.body())
        except UnreadableFeedback as error:
            raise Refused(str(error), "unreadable_feedback") from None
        return await take(reports, key)

    return routes


def _signers(settings: Settings) -> list[Signer]:
    given = settings.feedback_signatures
    try:
        return read_signers(given.get_secret_value()) if given is not None else []
    except ValueError as error:
        raise Refused(f"WAYMARK_FEEDBACK_SIGNATURES: {error}") from None


async def _first_object(request: Request) -> dict[str, Any]:
    plain = await request.json()
    return plain if isinstance(plain, dict) else {}


def _mention_subscription(told: dict[str, Any]) -> None:
    """We open no address that a request names: an operator does, once."""
    if told.get("Type") == "SubscriptionConfirmation":
        _log.warning("sns_subscription_waits", open_this_once=str(told.get("SubscribeURL"))[:_MAX_URL])
