"""Customers: they unsubscribe, come back, and answer."""

from sqlalchemy import select

from services.advocacy.core.errors import Rejected
from services.advocacy.core.survey_kinds import Submission
from services.advocacy.store import invitations
from services.advocacy.tables import invitation
from services.notify.core.person import PersonKeys
from services.notify.handlers.consent import ConsentGiven, record_consent, unsubscribe
from services.notify.persons import Persons
from services.notify.store import Accounts, repository
from services.notify.tables import consent, delivery
from shared.bus.producer import partition_of
from shared.contracts.topics import LIFECYCLE
from shared.db.errors import is_infrastructure
from shared.failures import Refused
from shared.service.context import ServiceContext
from tests.simulation.collect import rows
from tests.simulation.deployment import SimulatedDeployment
from tests.simulation.host import Host


class Customers:
    """Each does something at a running process, as the HTTP routes do; when it fails, they give up."""

    def __init__(self, deployment: SimulatedDeployment) -> None:
        self._deployment = deployment
        self._chance = deployment.chance
        deployment.sinks.meanwhile = self._meanwhile

    async def act(self) -> None:
        """One of them does one thing."""
        kind = self._chance.one((self._unsubscribe, self._answer, self._answer, self._come_back))
        hosts = self._deployment.running("advocacy" if kind == self._answer else "notify")
        if hosts:
            host = self._chance.one(hosts)
            host.process.spawn(_tried(kind(host)), "person")

    def _meanwhile(self) -> None:
        """Somebody says no while mail to them is under way."""
        if hosts := self._deployment.running("notify"):
            host = self._chance.one(hosts)
            host.process.spawn(_tried(self._unsubscribe(host, ("sending",))), "person")

    async def _unsubscribe(self, host: Host, on_its_way: tuple[str, ...] = ("pending", "sending")) -> None:
        context = host.contexts["notify"]
        everything = self._chance.random.random() < 0.4
        recent = self._deployment.sinks.journal[-6:]
        waiting = select(delivery.c.id).where(delivery.c.status.in_(on_its_way)).order_by(delivery.c.id)
        known = [row.id for row in await rows(self._deployment, "notify", waiting)] or [
            line.delivery for line in recent
        ]
        if known:
            name = self._chance.one(known)
            async with context.database.transaction() as tx:
                now = context.clock.now()
                await unsubscribe(tx, name, _accounts(context), _persons(context), now, everything=everything)

    async def _come_back(self, host: Host) -> None:
        context = host.contexts["notify"]
        declined = await rows(self._deployment, "notify", select(consent).where(consent.c.granted.is_(False)))
        if declined:
            row = self._chance.one(declined)
            given = ConsentGiven(row.account, row.user, row.topic, granted=True, source="link")
            async with context.database.transaction() as tx:
                await record_consent(tx, given, _accounts(context), _persons(context), context.clock.now())

    async def _answer(self, host: Host) -> None:
        context, handlers = host.contexts["advocacy"], host.services["advocacy"].consumers[0].handlers  # type: ignore[attr-defined]
        every = await rows(
            self._deployment, "advocacy", select(invitation.c.id, invitation.c.purpose).order_by(invitation.c.id)
        )
        if not every:
            return
        row = self._chance.one(every)
        async with context.database.transaction() as tx:
            found = await invitations.load(tx, row.id)
            assert found is not None
            if row.purpose == "survey":
                await handlers.answer(tx, found, Submission(self._chance.one((3, 9, 10)), ""))
            else:
                await handlers.accept(tx, found)


async def _tried(work: object) -> None:
    try:
        await work  # type: ignore[misc]
    except (Refused, Rejected):
        return
    except Exception as error:
        if not is_infrastructure(error):
            raise


def _accounts(context: ServiceContext) -> Accounts:
    return repository(lambda account: partition_of(account.encode(), context.bus.partitions(LIFECYCLE.name)))


def _persons(context: ServiceContext) -> Persons:
    return Persons(PersonKeys(context.secret))
