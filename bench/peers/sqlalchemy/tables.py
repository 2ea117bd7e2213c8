"""Tables of the two SQLAlchemy runners: accounts, seen ids, offsets, and the outbox."""

from datetime import datetime
from typing import Any

from peer import Job, State
from pydantic import BaseModel
from sqlalchemy import BigInteger, Integer, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Every table."""


class Account(Base):
    """One account."""

    __tablename__ = "account"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
    last: Mapped[str] = mapped_column(Text)
    features: Mapped[dict[str, Any]] = mapped_column(JSONB)


class Seen(Base):
    """An event that was handled: a second one with its id is dropped."""

    __tablename__ = "seen"
    id: Mapped[str] = mapped_column(Text, primary_key=True)


class Position(Base):
    """The next offset of a partition: it commits with what it led to."""

    __tablename__ = "position"
    part: Mapped[int] = mapped_column(Integer, primary_key=True)
    next_off: Mapped[int] = mapped_column(BigInteger)


class Properties(BaseModel):
    """What a feature's use says."""

    feature: str
    note: str


class Event(BaseModel):
    """A usage event, validated as FastAPI users do."""

    id: str
    account: str
    type: str
    name: str
    at: datetime
    received_at: datetime
    source: str
    user: str
    properties: Properties

    @property
    def when(self) -> str:
        """As it was written."""
        return self.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def opened(of: Job) -> AsyncEngine:
    """The database with its tables."""
    engine = create_async_engine(of.database)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    return engine


async def found(engine: AsyncEngine) -> dict[str, State]:
    """Every account as it is kept."""
    async with engine.connect() as connection:
        rows = await connection.execute(select(Account.id, Account.count, Account.last, Account.features))
        return {row.id: {"count": row.count, "last": row.last, "features": row.features} for row in rows}
