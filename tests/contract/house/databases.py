"""Altering a table behind the program's back."""

import asyncio

from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine


def execute(url: str, schema: str, statement: str) -> None:
    """Run one statement in that database; in that schema, where there are schemas."""
    if not url.startswith("sqlite"):
        asyncio.run(_on_postgres(url, schema, statement))
        return
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


async def _on_postgres(url: str, schema: str, statement: str) -> None:
    engine = create_async_engine(url, connect_args={"server_settings": {"search_path": schema}})
    async with engine.begin() as connection:
        await connection.execute(text(statement))
    await engine.dispose()
