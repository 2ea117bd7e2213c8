"""Wiring of lifecycle: its consumers, timers and routes."""

import asyncio
from functools import partial

from services.lifecycle.core.compiled_definition import CompiledDefinition, compile_definition
from services.lifecycle.core.definition import Definition
from services.lifecycle.handlers import DEFINITION_FILE, FEEDBACK_GROUP, GROUP, Handlers
from services.lifecycle.http.routes import router
from services.lifecycle.place_counts import UNMATCHED, UNREADABLE, UNTRUSTED, SavedPlaceCounts
from services.lifecycle.store import expired_decisions, expired_early_feedback, is_early_feedback_due
from services.lifecycle.tables import passed_over
from shared.bus.producer import partition_of
from shared.contracts.topics import ADVOCACY, OUTREACH, USAGE
from shared.definitions import load
from shared.http import parked
from shared.http.app import service_app
from shared.service.consumer import PollSettings
from shared.service.context import DueWork, Service, ServiceContext, Work
from shared.service.saved_counts import SavedCounts, expired_counts, saving
from shared.service.supervisor import run_periodically
from shared.service.timers import Timers
from shared.settings import Settings

_TIMERS = 5.0
_POLL = PollSettings(max_records=10_000)
"""An account is written once a transaction: who is behind catches up."""


def load_definition(settings: Settings) -> CompiledDefinition:
    """The company's definition, compiled. Raises DefinitionError with every mistake."""
    return compile_definition(load(settings.config / DEFINITION_FILE, Definition))


def wire(context: ServiceContext) -> Service:
    """Build the service."""
    compiled = load_definition(context.settings)
    usage_partitions = context.bus.partitions(USAGE.name)
    handlers = Handlers(
        compiled,
        lambda account: partition_of(account.encode(), usage_partitions),
        context.clock,
        context.slice_seconds,
    )
    usage = context.consumer(GROUP, [USAGE], handlers.usage, poll=_POLL)
    feedback = context.consumer(FEEDBACK_GROUP, [OUTREACH, ADVOCACY], handlers.feedback)
    wake = asyncio.Event()
    timers = Timers(usage, USAGE, handlers.accounts.due, handlers, context.database, context.clock)

    async def take_early() -> int:
        async with context.database.snapshot() as read:
            if not await is_early_feedback_due(read):
                return 0
        async with context.database.transaction() as tx:
            return await handlers.take_early(tx)

    app = service_app(title="Waymark lifecycle", summary="Where every account is, and why.")
    counted = SavedPlaceCounts(
        SavedCounts(context.database, passed_over, UNREADABLE, handlers.unreadable.counts),
        SavedCounts(context.database, passed_over, UNTRUSTED, handlers.untrusted.counts),
        SavedCounts(context.database, passed_over, UNMATCHED, handlers.unmatched.counts),
    )
    app.include_router(router(context, compiled, handlers, counted))
    app.include_router(parked.router(context, GROUP, usage.redrive))
    loops: dict[str, Work] = {
        "lifecycle-timers": partial(run_periodically, _TIMERS, context.by_the_clock(timers.fire), wake),
        "lifecycle-early-feedback": partial(run_periodically, _TIMERS, take_early),
        "lifecycle-counts": saving(counted, context.clock),
    }
    return Service(
        "lifecycle",
        app,
        [usage, feedback],
        loops,
        collectors=[handlers.unreadable, handlers.untrusted, handlers.unmatched],
        retention=[
            *expired_decisions(context.settings.keep_decisions_days),
            expired_counts(passed_over, context.settings.keep_parked_days),
            expired_early_feedback(),
        ],
        due=DueWork(handlers.accounts.count_due, wake),
    )
