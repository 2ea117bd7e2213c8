"""Going live API: what is missing before customers are written to, a test mail, and the approval after the first sends."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from services.notify.core.channels import deliverable
from services.notify.readiness import Readiness
from services.notify.sending_limits import ApprovalStatus, FirstSends
from shared.failures import Refused
from shared.http.audit import Act, administrative
from shared.http.auth import require_key
from shared.ids import derived
from shared.service.context import ServiceContext


class FindingView(BaseModel):
    """Something that is missing or wrong, and how to mend it. `blocks`: live mode is refused with it."""

    name: str
    problem: str
    remedy: str
    blocks: bool


class ReadinessView(BaseModel):
    """Whether live mode would be accepted, and everything that was found, what blocks first."""

    ready: bool
    findings: list[FindingView]


class TestMailWanted(BaseModel):
    """To whom: somebody of your own."""

    model_config = ConfigDict(extra="forbid")
    to: str = Field(min_length=3, max_length=254)


class TestMailSent(BaseModel):
    """What the mail server answered: `accepted`, or what went wrong in `outcome` and `detail`."""

    outcome: str
    detail: str


class ApprovalView(BaseModel):
    """The first `limit` messages (0: no approval is needed): how many of them went out, and how many wait for the approval."""

    limit: int
    sent: int
    waiting: int
    needed: bool
    approved_by: str
    approved_at: datetime | None


def router(context: ServiceContext, ready: Readiness, first_sends: FirstSends) -> APIRouter:
    """Reading takes a key of kind read, a test mail and the approval one of kind admin."""
    routes = APIRouter(prefix="/v1", tags=["mode"], dependencies=[Depends(require_key(context.keys, "read"))])

    @routes.get("/readiness")
    async def readiness() -> ReadinessView:
        """What is missing before customers are written to, with the mail server asked; as `waymark doctor` says it."""
        found = await ready.findings()
        views = [FindingView(**one._asdict()) for one in found]
        return ReadinessView(ready=not any(one.blocks for one in found), findings=views)

    @routes.post("/readiness/test-mail")
    async def send_test_mail(
        wanted: TestMailWanted, act: Annotated[Act, administrative(context, "test_mail_sent")]
    ) -> TestMailSent:
        """Send a mail to yourself, in either mode."""
        if not deliverable(wanted.to):
            raise Refused("'to' is no address that mail can go to", "bad_address")
        await act.announce(wanted.to)
        receipt = await ready.send_test_mail(
            wanted.to, derived("test-mail", wanted.to, context.clock.now().isoformat())
        )
        return TestMailSent(outcome=receipt.outcome, detail=receipt.detail)

    @routes.get("/approval")
    async def approval() -> ApprovalView:
        """How the first sends stand, after which the rest wait until somebody has looked at them."""
        async with context.database.snapshot() as read:
            return _approval(await first_sends.status(read))

    @routes.post("/approval")
    async def approve(act: Annotated[Act, administrative(context, "sends_approved")]) -> ApprovalView:
        """Let the rest go, for good."""
        async with act.transaction("first sends") as tx:
            await first_sends.approve(tx, act.actor.name, context.clock.now())
            status = await first_sends.status(tx)
        return _approval(status)

    return routes


def _approval(status: ApprovalStatus) -> ApprovalView:
    return ApprovalView(**status._asdict(), needed=status.needed)
