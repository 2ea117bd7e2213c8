"""What a good engineer writes: 500 records, pydantic, SQLAlchemy Core, one transaction a batch with its offsets. Exact."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import ConsumerRecord
from peer import Job, Progress, State, done, end, fold, job, keep, state, transition
from reading import opened as connected
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from tables import Account, Event, Position, Seen, found, opened

_MOST = 500


async def main(of: Job) -> None:
    """One batch after the other."""
    engine, progress = await opened(of), Progress(of)
    last = False
    async with connected(of) as (consumer, producer):
        while not last:
            records = await consumer.getmany(timeout_ms=500, max_records=_MOST)
            batch = [record for some in records.values() for record in some]
            last = progress.some(len(batch))
            if batch:
                async with engine.begin() as connection:
                    told = await _handled(of, connection, batch)
                await asyncio.gather(*[await producer.send(of.output, one) for one in told])
        done()
    keep(of, await found(engine))
    end()


async def _handled(of: Job, connection: AsyncConnection, batch: Sequence[ConsumerRecord]) -> list[bytes]:
    events = await _new(connection, [Event.model_validate_json(record.value) for record in batch])
    accounts = await _known(connection, {event.account for event in events})
    told = []
    for event in events:
        kept = accounts.setdefault(event.account, state())
        if fold(kept, event.properties.feature, event.when, of.threshold):
            told.append(transition(event.account, kept))
    await _upserted(connection, Account, [{"id": name, **kept} for name, kept in accounts.items()])
    positions = {record.partition: record.offset + 1 for record in batch}
    await _upserted(connection, Position, [{"part": part, "next_off": off} for part, off in positions.items()])
    return told


async def _new(connection: AsyncConnection, events: list[Event]) -> list[Event]:
    ids = [{"id": event.id} for event in events]
    new = insert(Seen).on_conflict_do_nothing().returning(Seen.id)
    fresh = {row.id for row in await connection.execute(new, ids)}
    return [event for event in events if event.id in fresh]


async def _known(connection: AsyncConnection, names: set[str]) -> dict[str, State]:
    some = select(Account.id, Account.count, Account.last, Account.features).where(Account.id.in_(names))
    rows = await connection.execute(some.with_for_update())
    return {row.id: {"count": row.count, "last": row.last, "features": dict(row.features)} for row in rows}


async def _upserted(connection: AsyncConnection, table: Any, rows: list[dict[str, Any]]) -> None:
    statement = insert(table)
    keys = {column.name for column in table.__table__.primary_key}
    others = {
        column.name: statement.excluded[column.name] for column in table.__table__.columns if column.name not in keys
    }
    if rows:
        await connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=others), rows)


if __name__ == "__main__":
    asyncio.run(main(job()))
