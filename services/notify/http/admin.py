"""Admin API: the outreach mode, the plays, and consents."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.notify import store
from services.notify.core.play_schema import REQUEST
from services.notify.core.playbook import Play, Playbook, Step
from services.notify.handlers.consent import ConsentGiven, record_consent
from services.notify.http.models import (
    ConsentView,
    ConsentWanted,
    Filter,
    ModeView,
    ModeWanted,
    PlayView,
    StepView,
)
from services.notify.persons import Persons
from services.notify.readiness import Readiness, refusal
from services.notify.store import Accounts, OutreachModeRecord, consents_of
from shared.failures import Refused
from shared.http.audit import Act, administrative
from shared.http.auth import require_key
from shared.service.context import ServiceContext


def router(
    context: ServiceContext, book: Playbook, accounts: Accounts, persons: Persons, ready: Readiness
) -> APIRouter:
    """Reading takes a key of kind read, changing one of kind admin."""
    routes = APIRouter(prefix="/v1", dependencies=[Depends(require_key(context.keys, "read"))])
    _mode(routes, context, ready)
    _plays(routes, context, book)
    _consents(routes, context, accounts, persons)
    return routes


def _mode(routes: APIRouter, context: ServiceContext, ready: Readiness) -> None:
    @routes.get("/mode", tags=["mode"])
    async def mode() -> ModeView:
        """Whether deliveries leave."""
        async with context.database.snapshot() as read:
            return ModeView(**(await store.read_mode(read, context.settings.outreach))._asdict())

    @routes.put("/mode", tags=["mode"])
    async def set_mode(wanted: ModeWanted, act: Annotated[Act, administrative(context, "mode_set")]) -> ModeView:
        """Set the mode, from now on. Back to preview stops everything that has not been claimed yet.

        Live is refused while something is missing that a customer would notice: `GET /notify/v1/readiness` lists it.
        """
        if wanted.mode == "live" and (why := refusal(await ready.findings())):
            raise Refused(f"not ready to write to customers: {why}", "not_ready", 409)
        record = OutreachModeRecord(wanted.mode, act.actor.name, context.clock.now())
        async with act.transaction(wanted.mode) as tx:
            await store.set_mode(tx, record)
        return ModeView(**record._asdict())


def _plays(routes: APIRouter, context: ServiceContext, book: Playbook) -> None:
    @routes.get("/plays", tags=["plays"])
    async def plays(
        reasons: Annotated[bool, Query(description="true: also why messages were not sent")] = False,
    ) -> list[PlayView]:
        """Every play, and how its deliveries stand."""
        async with context.database.snapshot() as read:
            counts = await store.counts(read)
            not_sent = await store.not_sent(read) if reasons else None
        return [
            _play(play, counts.get(name, {}), None if not_sent is None else not_sent.get(name, {}))
            for name, play in sorted(book.plays.items())
        ]


def _consents(routes: APIRouter, context: ServiceContext, accounts: Accounts, persons: Persons) -> None:
    @routes.get("/consents", tags=["consents"])
    async def list_consents(
        user: Annotated[str, Query(min_length=1, max_length=200)], account: Filter = None
    ) -> list[ConsentView]:
        """The consents of this person, in one account or in all. None recorded means: may be written to."""
        async with context.database.snapshot() as read:
            records = await consents_of(read, user, account)
        return [ConsentView(**record._asdict()) for record in records]

    @routes.put("/consents", tags=["consents"])
    async def set_consent(
        wanted: ConsentWanted, act: Annotated[Act, administrative(context, "consent_recorded")]
    ) -> ConsentView:
        """Record consent given or refused elsewhere: it holds for the person's address and user id, in every account.

        Recording it twice changes nothing.
        """
        given = ConsentGiven(**wanted.model_dump(), source=f"key:{act.actor.name}")
        how = {"account": given.account, "topic": given.topic, "granted": given.granted}
        async with act.transaction(given.user, **how) as tx:
            await record_consent(tx, given, accounts, persons, context.clock.now())
            records = await consents_of(tx, given.user, given.account)
            found = next((record for record in records if record.topic == given.topic), None)
            if found is None:
                raise Refused("they never declined this, so there is nothing to take back", "nothing_declined", 409)
        return ConsentView(**found._asdict())


def _play(play: Play, counts: dict[str, int], reasons: dict[str, int] | None) -> PlayView:
    steps = [_step(step) for step in play.steps]
    return PlayView(
        name=play.name,
        description=play.description,
        outreach_class=play.class_,
        topic=play.topic,
        stages=sorted(play.stages),
        trigger=_trigger(play),
        steps=steps,
        counts=counts,
        reasons=reasons,
        lacks=play.lacks,
    )


def _step(step: Step) -> StepView:
    return StepView(
        name=step.name,
        channel=step.channel.name if step.channel else "",
        template=step.template,
        after=step.after.total_seconds(),
        expires=step.expires.total_seconds(),
    )


def _trigger(play: Play) -> str:
    """As text: `stage onboarding`, `signal usage_drop`, `request`."""
    if play.on is None:
        return REQUEST
    kinds = ("stage", "flag", "signal", "milestone")
    named = next(f"{kind} {getattr(play.on, kind)}" for kind in kinds if getattr(play.on, kind))
    return f"{named} from {play.on.from_}" if play.on.from_ else named
