"""What else may be asked? The mode, the plays, what people declined, and messages that could not be taken."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.notify.core.playbook import Play, Playbook
from services.notify.core.words import REQUEST
from services.notify.handlers.consent import Said, say
from services.notify.http.lists import Filter
from services.notify.http.models import (
    ConsentView,
    ConsentWanted,
    ModeView,
    ModeWanted,
    PlayView,
    StepView,
)
from services.notify.store import accounts, consents, deliveries
from services.notify.store.switch import Switch, read_switch, set_switch
from shared.failures import Refused
from shared.http.auth import allowed
from shared.keys import Key
from shared.service.context import ServiceContext


def router(context: ServiceContext, book: Playbook, part_of: accounts.PartOf) -> APIRouter:
    """Reading takes a key of kind read, changing one of kind admin."""
    routes = APIRouter(prefix="/v1", dependencies=[Depends(allowed(context.keys, "read"))])
    _mode(routes, context)
    _plays(routes, context, book)
    _consents(routes, context, part_of)
    return routes


def _mode(routes: APIRouter, context: ServiceContext) -> None:
    @routes.get("/mode", tags=["mode"])
    async def mode() -> ModeView:
        """Whether mail leaves the house."""
        async with context.database.snapshot() as read:
            return ModeView(**(await read_switch(read, context.settings.outreach))._asdict())

    @routes.put("/mode", tags=["mode"])
    async def set_mode(wanted: ModeWanted, key: Annotated[Key, Depends(allowed(context.keys, "admin"))]) -> ModeView:
        """From now on. Back to preview stops everything that has not been claimed yet."""
        switch = Switch(wanted.mode, key.name, context.clock.now())
        async with context.database.transaction() as tx:
            await set_switch(tx, switch)
        return ModeView(**switch._asdict())


def _plays(routes: APIRouter, context: ServiceContext, book: Playbook) -> None:
    @routes.get("/plays", tags=["plays"])
    async def plays() -> list[PlayView]:
        """Every play, and how its deliveries stand."""
        async with context.database.snapshot() as read:
            counts = await deliveries.counts(read)
        return [_play(play, counts.get(name, {})) for name, play in sorted(book.plays.items())]


def _consents(routes: APIRouter, context: ServiceContext, part_of: accounts.PartOf) -> None:
    @routes.get("/consents", tags=["consents"])
    async def list_consents(
        user: Annotated[str, Query(min_length=1, max_length=200)], account: Filter = None
    ) -> list[ConsentView]:
        """What this person said, in one account or in all. Nothing said means: may be written to."""
        async with context.database.snapshot() as read:
            rows = await consents.listed(read, user, account)
        return [ConsentView(**row._mapping) for row in rows]  # noqa: SLF001

    @routes.put("/consents", tags=["consents"])
    async def set_consent(
        wanted: ConsentWanted, key: Annotated[Key, Depends(allowed(context.keys, "admin"))]
    ) -> ConsentView:
        """Record what a person said elsewhere. Saying it twice changes nothing."""
        said = Said(**wanted.model_dump(), source=f"key:{key.name}")
        async with context.database.transaction() as tx:
            await say(tx, said, part_of, context.clock.now())
            rows = await consents.listed(tx, said.user, said.account)
        found = next((row for row in rows if row.topic == said.topic), None)
        if found is None:
            raise Refused("they never declined this, so there is nothing to take back", "nothing_declined", 409)
        return ConsentView(**found._mapping)  # noqa: SLF001


def _play(play: Play, counts: dict[str, int]) -> PlayView:
    steps = [
        StepView(
            name=step.name,
            channel=step.channel,
            template=step.template,
            after=step.after.total_seconds(),
            expires=step.expires.total_seconds(),
        )
        for step in play.steps
    ]
    return PlayView(
        name=play.name,
        description=play.description,
        outreach_class=play.class_,
        topic=play.topic,
        stages=sorted(play.stages),
        trigger=_trigger(play),
        steps=steps,
        counts=counts,
    )


def _trigger(play: Play) -> str:
    """In words: `stage onboarding`, `signal usage_drop`, `request`."""
    if play.on is None:
        return REQUEST
    kinds = ("stage", "flag", "signal", "milestone")
    named = next(f"{kind} {getattr(play.on, kind)}" for kind in kinds if getattr(play.on, kind))
    return f"{named} from {play.on.from_}" if play.on.from_ else named
