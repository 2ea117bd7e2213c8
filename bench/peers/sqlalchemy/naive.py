"""The floor: one transaction an event with the async ORM, pydantic for the event. It survives a crash, exactly."""

import asyncio

from peer import Job, Progress, State, done, end, fold, job, keep, transition
from reading import opened as connected
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tables import Account, Event, Position, Seen, found, opened


async def main(of: Job) -> None:
    """One event after the other."""
    engine, progress = await opened(of), Progress(of)
    sessions = async_sessionmaker(engine)
    last = False
    async with connected(of) as (consumer, producer):
        while not last:
            record = await consumer.getone()
            last = progress.one()
            async with sessions() as session, session.begin():
                told = await _handled(of, session, Event.model_validate_json(record.value))
                await session.merge(Position(part=record.partition, next_off=record.offset + 1))
            if told is not None:
                await producer.send_and_wait(of.output, told)
        done()
    keep(of, await found(engine))
    end()


async def _handled(of: Job, session: AsyncSession, event: Event) -> bytes | None:
    if await session.get(Seen, event.id) is not None:
        return None
    session.add(Seen(id=event.id))
    account = await session.get(Account, event.account, with_for_update=True)
    if account is None:
        account = Account(id=event.account, count=0, last="", features={})
        session.add(account)
    kept: State = {"count": account.count, "last": account.last, "features": dict(account.features)}
    made = fold(kept, event.properties.feature, event.when, of.threshold)
    account.count, account.last, account.features = kept["count"], kept["last"], kept["features"]
    return transition(event.account, kept) if made else None


if __name__ == "__main__":
    asyncio.run(main(job()))
