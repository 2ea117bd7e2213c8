"""Comparison of stored tables and REST answers before and after a migration: what is lost, and what differs."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

RENAMED = {"held": "satisfied"}
"""Fields of answers that have another name today: old name, new name."""
UNCOMPARED = {"definition"}
"""A hash of the definitions, which move with the configuration."""
DEFINED = ("/notify/v1/plays", "/advocacy/v1/surveys")
"""Lists of what the configuration defines, by name: a later one defines more."""


class Values(NamedTuple):
    """A table's rows, as text; the columns by name."""

    columns: list[str]
    rows: list[tuple[str, ...]]

    def column(self, name: str) -> Counter[str]:
        number = self.columns.index(name)
        return Counter(row[number] for row in self.rows)

    def only(self, names: list[str]) -> Counter[tuple[str, ...]]:
        numbers = [self.columns.index(name) for name in names]
        return Counter(tuple(row[number] for number in numbers) for row in self.rows)


Tables = dict[str, Values]


def sqlite_tables(file: Path) -> Tables:
    """Every table of a file."""
    with closing(sqlite3.connect(file)) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {}
        for name in names:
            rows = database.execute(f'SELECT * FROM "{name}"')
            columns = [column[0] for column in rows.description]
            found[name] = Values(columns, [tuple(map(repr, row)) for row in rows])
    return found


async def postgres_tables(url: str, schemas: list[str]) -> Tables:
    """Every table of these schemas."""
    connection = await asyncpg.connect(url)
    try:
        found = {}
        of_services = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY($1)"
        for schema, name in await connection.fetch(of_services, schemas):
            rows = await connection.fetch(f'SELECT * FROM "{schema}"."{name}"')
            columns = await connection.fetch(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2"
                " ORDER BY ordinal_position",
                schema,
                name,
            )
            texts = [tuple(map(repr, row.values())) for row in rows]
            found[f"{schema}.{name}"] = Values([row["column_name"] for row in columns], texts)
        return found
    finally:
        await connection.close()


def lost(old: Tables, new: Tables) -> list[str]:
    """Which rows of which tables are not there any more. A table or column may have another name."""
    found = []
    for name, values in old.items():
        if name.endswith("_version"):
            continue
        after = name if name in new else _renamed_table(values, {n: t for n, t in new.items() if n not in old})
        if after is None:
            found.append(f"{name}: no such table, and none with its rows")
        else:
            found += [f"{name}: {why}" for why in _lost_rows(values, new[after])]
    return found


def _renamed_table(values: Values, others: Tables) -> str | None:
    return next((name for name, other in others.items() if not list(_lost_rows(values, other))), None)


def _lost_rows(old: Values, new: Values) -> Iterator[str]:
    if len(old.rows) != len(new.rows):
        yield f"{len(old.rows)} rows became {len(new.rows)}"
    free = [name for name in new.columns if name not in old.columns]
    today = []
    for name in old.columns:
        values = old.column(name)
        after = name if name in new.columns else next((one for one in free if new.column(one) == values), None)
        if after is None:
            yield f"column {name}: no such column, and none with its values"
            return
        if after in free:
            free.remove(after)
        today.append(after)
    gone = old.only(old.columns) - new.only(today)
    if gone:
        yield f"{gone.total()} rows are not there any more, such as {dict(zip(old.columns, next(iter(gone)), strict=True))}"


def different(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Where today's answer lacks what the old one said. It may say more."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name, value in old.items():
            today = RENAMED.get(name, name) if name not in new else name
            if name in UNCOMPARED:
                continue
            if today not in new:
                yield f"{where}.{name} is gone"
            else:
                yield from different(value, new[today], f"{where}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and where.endswith(DEFINED):
        yield from different({one["name"]: one for one in old}, {one["name"]: one for one in new}, f"{where}.by_name")
    elif isinstance(old, list) and isinstance(new, list):
        yield from _different_items(old, new, where)
    elif old != new:
        yield f"{where}: {old!r} became {new!r}"


def _different_items(old: list[Any], new: list[Any], where: str) -> Iterator[str]:
    if len(old) != len(new):
        yield f"{where}: {len(old)} items became {len(new)}"
    for number, (before, after) in enumerate(zip(old, new, strict=False)):
        yield from different(before, after, f"{where}[{number}]")
