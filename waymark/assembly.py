"""Assembly: builds the services of one process, or of one of many, and runs them. One path for both deployments."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from services.advocacy.wiring import wire as wire_advocacy
from services.console.wiring import wire as wire_console
from services.ingest.wiring import wire as wire_ingest
from services.lifecycle.wiring import wire as wire_lifecycle
from services.notify.wiring import wire as wire_notify
from shared.access.keys import KeyRefresh
from shared.access.sessions import Delegation
from shared.clock import Clock, MeasuredClock
from shared.http import api_docs, health, problem
from shared.http.app import ServiceMount
from shared.http.bodies import BodyBuffer, BodyMemoryLimit
from shared.http.health import READY_WORDS, CountDue, Health
from shared.http.security import SecurityHeaders
from shared.keys import load_keys
from shared.service import ownership
from shared.service.clock_watch import ClockWatch, WatchedClock
from shared.service.context import Notices, Service, ServiceContext
from shared.service.retention import Retention, parked
from shared.service.supervisor import SupervisedLoop, Supervisor, run_periodically
from shared.settings import Settings
from shared.shutdown import LEASES, Shutdown
from shared.storage import Storage, check_urls, open_storage, sole_user
from waymark import compatibility, migrations
from waymark.compatibility import VersionCheck

WIRES: dict[str, Callable[[ServiceContext], Service]] = {
    "ingest": wire_ingest,
    "lifecycle": wire_lifecycle,
    "notify": wire_notify,
    "advocacy": wire_advocacy,
    "console": wire_console,
}
"""Every service, and what builds it."""
_RETENTION_SECONDS = 3600.0
_LAST_RUN = "last-run"
_log = structlog.get_logger(__name__)


class Assembly(NamedTuple):
    """Running services: their application, and what they are made of."""

    app: Starlette
    services: dict[str, Service]
    contexts: dict[str, ServiceContext]
    loops: list[SupervisedLoop]
    supervisor: Supervisor


@asynccontextmanager
async def assembled(
    settings: Settings, names: Sequence[str], clock: Clock, shutdown: Shutdown | None = None
) -> AsyncIterator[Assembly]:
    """Open the stores, build the services, keep their loops; stop them in order when the block ends, within `shutdown`.

    Raises Refused for settings that cannot work, Retry when the database or the log does not answer.
    """
    check_urls(settings)
    clock = WatchedClock(clock) if isinstance(clock, MeasuredClock) else clock
    shutdown = shutdown or Shutdown()
    keys, secret = load_keys(settings)
    keys.accept_delegated(Delegation(secret, keys, clock).key)
    owner = f"{socket.gethostname()}:{os.getpid()}"
    pending = await asyncio.to_thread(_prepare_database, settings, list(names))
    async with open_storage(settings, names, clock, owner, shutdown) as stores:
        watch = _clock_watch(settings, names[0], clock, stores[names[0]])
        if watch is not None:
            await (
                watch.problem()
            )  # before anything is stamped: a time written by a wrong clock would be a witness for it
        contexts = {
            name: ServiceContext(settings, clock, store.database, store.bus, keys, secret, owner, store.access, watch)
            for name, store in stores.items()
        }
        services = {name: WIRES[name](contexts[name]) for name in names}
        retention = {name: _retention(service, contexts[name]) for name, service in services.items()}
        loops = {
            name: _loops(service, contexts[name], stores[name], retention[name]) for name, service in services.items()
        }
        loops[names[0]].append(await _key_refresh(contexts[names[0]]))
        healths: dict[str, Health] = {}
        for name, service in services.items():
            health_of = healths[name] = Health(
                stores[name].database,
                stores[name].bus,
                service.consumers,
                loops[name],
                VersionCheck(name, pending),
                _notices(service, watch),
                _count_due(service, contexts[name]),
            )
            for collector in (*service.collectors, *filter(None, [retention[name]])):
                health_of.registry.register(collector)
            problem.install(service.app)
            health.install(service.app, health_of, keys if settings.protects("metrics") else None)
            if service.documented:
                api_docs.install(service.app, keys if settings.protects("docs") else None)
        together = [loop for some in loops.values() for loop in some]
        supervisor = Supervisor(together, shutdown)
        try:
            yield Assembly(_root(list(services.values()), healths), services, contexts, together, supervisor)
        finally:
            await supervisor.stop()
            await _release_leases(stores, shutdown)


def _prepare_database(settings: Settings, names: list[str]) -> list[str]:
    """One process brings its own file up to date; a shared database is migrated once, by `waymark migrate`.

    Not while another process uses the file: an earlier version would lose its columns under it. Raises NewerDatabase
    where a newer version has used the database. Returns the histories that lack a revision.
    """
    if settings.embedded:
        with sole_user(settings):
            compatibility.migrate(settings, names)
        return []
    compatibility.refuse_newer(settings, names)
    pending = migrations.pending(settings, names)
    if not pending:  # else there may be no table yet to register them in
        compatibility.register_layouts(settings, names)
    return pending


async def _key_refresh(context: ServiceContext) -> SupervisedLoop:
    """The loop that keeps up with the issued keys, which are read before anybody asks."""
    refresh = KeyRefresh(context.keys, context.access, context.clock)
    try:
        await refresh.refresh()
    except Exception as error:  # noqa: BLE001  the loop goes on trying, and readyz says why
        _log.warning("keys_not_read", error=repr(error))
    return SupervisedLoop("keys", refresh.run)


def _retention(service: Service, context: ServiceContext) -> Retention | None:
    """What deletes the service's expired rows: parked records of its groups, and what it names itself."""
    groups = [consumer.group for consumer in service.consumers]
    policies = [*parked(groups, context.settings.keep_parked_days), *service.retention]
    return Retention(policies, context.database, context.clock) if groups else None


def _clock_watch(settings: Settings, service: str, clock: Clock, store: Storage) -> ClockWatch | None:
    """What checks this process's clock, where it is one that can be checked."""
    if not isinstance(clock, WatchedClock):
        return None
    work = partial(ownership.last_move, store.database) if service in migrations.OWNERS else None
    return ClockWatch(clock, store.access.server_time, settings.data / _LAST_RUN, work)


def _notices(service: Service, watch: ClockWatch | None) -> Notices:
    """The service's own, and what is wrong with the clock."""

    async def notices() -> dict[str, str]:
        own = {} if service.notices is None else dict(await service.notices())
        return own if watch is None else own | {"clock": await watch.problem()}

    return notices


def _count_due(service: Service, context: ServiceContext) -> CountDue | None:
    """What time has to do in the service now, by the clock that its timers go by."""
    due = service.due
    if due is None:
        return None

    async def count() -> int:
        async with context.database.snapshot() as read:
            return await due.how_many(read, context.clock.now())

    return count


def _loops(
    service: Service, context: ServiceContext, store: Storage, retention: Retention | None
) -> list[SupervisedLoop]:
    work = {consumer.group: consumer.run for consumer in service.consumers} | service.loops
    if store.relay is not None and service.name in migrations.OWNERS:
        work[f"{service.name}-relay"] = store.relay.run
    if store.retention is not None:
        work["log-retention"] = partial(
            run_periodically, _RETENTION_SECONDS, context.by_the_clock(store.retention.delete_old_blocks)
        )
    if retention is not None:
        work[f"{service.name}-retention"] = partial(
            run_periodically, _RETENTION_SECONDS, context.by_the_clock(retention.delete_expired)
        )
    return [SupervisedLoop(name, run) for name, run in work.items()]


async def _release_leases(stores: dict[str, Storage], shutdown: Shutdown) -> None:
    """What this process held may be taken up by another at once."""
    relays = {name: store.relay for name, store in stores.items() if store.relay is not None}
    releasing = (shutdown.step(f"{name}-lease", relay.release(), LEASES) for name, relay in relays.items())
    await asyncio.gather(*releasing)


def _root(services: Sequence[Service], healths: Mapping[str, Health]) -> Starlette:
    """Each service under its name; what SDKs and load balancers expect at the root stands at the root.

    What stands at the root looks after its bodies itself; together all of them may hold only so much.
    """

    async def livez(_request: Request) -> Response:
        return JSONResponse({"status": "alive", "services": [service.name for service in services]})

    async def readyz(_request: Request) -> Response:
        found = dict(zip(healths, await asyncio.gather(*(one.ready() for one in healths.values())), strict=True))
        ready = all(well for well, _ in found.values())
        words = {name: {"status": READY_WORDS[well], **what} for name, (well, what) in found.items()}
        return JSONResponse({"status": READY_WORDS[ready], "services": words}, 200 if ready else 503)

    routes = [route for service in services for route in service.root]
    mounts = [ServiceMount(f"/{service.name}", app=SecurityHeaders(BodyBuffer(service.app))) for service in services]
    health_routes = [Route("/livez", livez), Route("/readyz", readyz)]
    app = Starlette(routes=[*health_routes, *routes, *mounts], middleware=[Middleware(BodyMemoryLimit)])
    app.router.redirect_slashes = False
    app.router.default = _nothing_here([service.name for service in services])
    return app


def _nothing_here(names: Sequence[str]) -> ASGIApp:
    """The answer at an address that is nobody's: where things are."""
    each = f"{'each service answers' if len(names) > 1 else 'the service answers'} under its name: "
    where = each + ", ".join(f"/{name}/" for name in names)
    detail = f"there is nothing at this address; events go to POST /v1/batch (ingest), {where} (readyz and metrics too)"
    return problem.problem(404, "not_found", detail)
