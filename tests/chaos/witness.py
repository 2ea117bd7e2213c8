"""Witness: triggers outside the product that record what is written, in the order of the locks it is written under.

`seen_id` is drawn while the row in question is locked, so for one cursor or one account it is the order of the commits.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from tests.chaos.stores import Stores

CURSOR, CONFIRMED, CONSENT = "cursor", "last_word", "consent"


class Witness(NamedTuple):
    """Notes these columns of `table` at these events, where `when` holds."""

    name: str
    table: str
    events: tuple[str, ...]
    columns: tuple[str, ...]
    when: str = ""


_CURSOR = Witness(
    CURSOR,
    "consumer_cursor",
    ("UPDATE",),
    ("NEW.consumer_group", "NEW.topic", "NEW.partition", "OLD.next_offset", "NEW.next_offset", "NEW.epoch"),
)
_CONFIRMED = Witness(
    CONFIRMED,
    "notify_delivery",
    ("UPDATE",),
    ("NEW.id", "NEW.account", 'NEW."user"', "NEW.topic", "NEW.outreach_class", "NEW.address"),
    "NEW.stage = 'data_sent' AND OLD.stage <> 'data_sent'",
)
_CONSENT = Witness(
    CONSENT,
    "notify_consent",
    ("INSERT", "UPDATE"),
    ("NEW.account", 'NEW."user"', "NEW.topic", "NEW.granted"),
)
WITNESSES: dict[str, tuple[Witness, ...]] = {
    "ingest": (_CURSOR,),
    "lifecycle": (_CURSOR,),
    "notify": (_CURSOR, _CONFIRMED, _CONSENT),
    "advocacy": (_CURSOR,),
}
"""Who looks where."""

_TABLES = {
    "postgresql": "CREATE TABLE chaos_seen (seen_id bigserial PRIMARY KEY, tx bigint NOT NULL DEFAULT txid_current(), "
    "what text NOT NULL, body text NOT NULL)",
    "sqlite": "CREATE TABLE IF NOT EXISTS chaos_seen (seen_id INTEGER PRIMARY KEY AUTOINCREMENT, "
    "tx INTEGER NOT NULL DEFAULT 0, what TEXT NOT NULL, body TEXT NOT NULL)",
}


async def install(stores: Stores) -> None:
    """Every witness, in every service's store."""
    for service, witnesses in WITNESSES.items():
        await stores.run(service, _TABLES[stores.dialect])
        for one in witnesses:
            for statement in _STATEMENTS[stores.dialect](one):
                await stores.run(service, statement)


def _on_postgres(one: Witness) -> list[str]:
    note = (
        f"INSERT INTO chaos_seen (what, body) VALUES ('{one.name}', json_build_array({', '.join(one.columns)})::text)"
    )
    when = f"WHEN ({one.when})" if one.when else ""
    body = f"$$ BEGIN {note}; RETURN NULL; END $$"
    events = " OR ".join(one.events)
    run = f"FOR EACH ROW {when} EXECUTE FUNCTION chaos_{one.name}()"
    return [
        f"CREATE FUNCTION chaos_{one.name}() RETURNS trigger LANGUAGE plpgsql AS {body}",
        f"CREATE TRIGGER chaos_{one.name} AFTER {events} ON {one.table} {run}",
    ]


def _on_sqlite(one: Witness) -> list[str]:
    note = f"INSERT INTO chaos_seen (what, body) VALUES ('{one.name}', json_array({', '.join(one.columns)}))"
    when = f"WHEN {one.when}" if one.when else ""
    return [
        f"CREATE TRIGGER IF NOT EXISTS chaos_{one.name}_{event.lower()} AFTER {event} ON {one.table} {when} "
        f"BEGIN {note}; END"
        for event in one.events
    ]


_STATEMENTS: dict[str, Any] = {"postgresql": _on_postgres, "sqlite": _on_sqlite}


async def observations(stores: Stores, service: str, *what: str) -> AsyncIterator[tuple[int, str, list[Any]]]:
    """What the witness of a service noted, in order: transaction, what, and the columns."""
    names = ", ".join(f"'{name}'" for name in what)
    last, rows = 0, list[Any]()
    while rows or not last:
        rows = list(
            await stores.rows(
                service,
                f"SELECT seen_id, tx, what, body FROM chaos_seen WHERE seen_id > {last} AND what IN ({names}) "
                "ORDER BY seen_id LIMIT 20000",
            )
        )
        for row in rows:
            yield row["tx"], row["what"], json.loads(row["body"])
        last = rows[-1]["seen_id"] if rows else last or 1
