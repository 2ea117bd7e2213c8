"""Conversion: the tables of one deployment as those of the other, with the log dealt to other partitions.

One process on SQLite keeps one log of one partition a topic in its file. Scaled out, each service has an outbox in its
schema, from which the relay fills Kafka's partitions. So the log's records are dealt anew by their keys, and cursors say
how many records of each partition a group has read; what every group has read is left out, except of the archive.
Services' own rows stay as they are, up to the columns that name places in a log; journals, which are of such places, begin
anew, and with them what can be replayed.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from shared.bus.outbox import decode_block, encode_block, split
from shared.bus.producer import group_by_partition, partition_of
from shared.bus.protocol import ProducerRecord
from shared.bus.tables import metadata as bus_metadata
from shared.contracts.topics import TOPICS, USAGE
from shared.failures import Refused
from shared.service.dead_letters import dead_letter_id
from waymark.backup.content import JOURNALS, POSITIONS, Digest, Row, StoredTable, digest_of
from waymark.backup.file import BackupFile
from waymark.migrations import BUS, OWNERS

READERS: Mapping[str, tuple[str, ...]] = {
    "usage.raw.v1": ("ingest",),
    "usage.v1": ("lifecycle",),
    "lifecycle.v1": ("notify", "advocacy"),
    "outreach.v1": ("lifecycle-feedback", "advocacy"),
    "advocacy.v1": ("lifecycle-feedback", "notify"),
}
"""Topic -> the groups that read it."""
_ELSEWHERE = 1 << 40
"""Offsets of parked records are moved beyond those of any log: a new record must not get the id of an old one."""
_NO_BATCH = -(1 << 62)
_CARRIED = ("log_block", "log_end", "consumer_cursor", "dead_letter", "stored_layout")
"""The log's tables; the relays' leases are of processes that have ended."""
Tables = dict[StoredTable, list[Row]]
Contents = dict[StoredTable, Iterable[Row]]


class Log(NamedTuple):
    """What becomes of the log: the rows of its tables, by service."""

    blocks: list[Row]
    ends: list[Row]
    cursors: list[Row]


def service_rows(backup: BackupFile, partitions: int) -> Contents:
    """The services' own tables."""
    own = (table for table in backup.tables() if table.name not in bus_metadata.tables)
    return {
        table: () if table.name.endswith(JOURNALS) else _placed(table, backup.rows(table), partitions) for table in own
    }


def _placed(table: StoredTable, rows: Iterable[Row], partitions: int) -> Iterator[Row]:
    """The rows in the places of another log: an account in the partition of its id, a key of no batch.

    A row that is no account's keeps its number: the marks of imports count in whatever partition they were made.
    """
    moved = POSITIONS & set(table.columns)
    if "id" not in table.columns:
        moved -= {"partition"}
    for row in rows:
        yield {**row, **{name: _place(name, row, partitions) for name in moved}} if moved else row


def _place(column: str, row: Row, partitions: int) -> int:
    if column == "journaled":
        return 0
    return partition_of(str(row["id"]).encode(), partitions) if column == "partition" else _NO_BATCH


def digests(backup: BackupFile) -> dict[str, Digest]:
    """The state of every service: the digest of each of its tables, whatever the deployment, and that of the archive."""
    own = (one for one in backup.tables() if one.name not in bus_metadata.tables and not one.name.endswith(JOURNALS))
    found = {table.name: digest_of(table.columns, backup.rows(table), POSITIONS) for table in own}
    archive = ({"record": _packed(record)} for record in _archive(backup))
    return {**found, USAGE.name: digest_of(["record"], archive)}


def _packed(record: ProducerRecord) -> bytes:
    return encode_block([record])


def _archive(backup: BackupFile) -> Iterator[ProducerRecord]:
    schema = BUS if backup.description.kind == "sqlite" else str(USAGE.producer)
    for row in backup.rows(_bus_table(backup, schema, "log_block")):
        if row["topic"] == USAGE.name:
            yield from decode_block(_bytes(row["block"]))


def to_scaled(backup: BackupFile, partitions: int) -> Contents:
    """The tables of PostgreSQL's schemas from a backup of an SQLite file."""
    contents = service_rows(backup, partitions)
    log = deal(backup, partitions)
    producers = {topic.name: topic.producer or _service(READERS[topic.name][0]) for topic in TOPICS}
    letters = list(_letters(backup.rows(_bus_table(backup, BUS, "dead_letter")), partitions))
    layouts = list(backup.rows(_bus_table(backup, BUS, "stored_layout")))
    for service in OWNERS:
        of_service = {
            "log_block": [row for row in log.blocks if producers[str(row["topic"])] == service],
            "log_end": [row for row in log.ends if producers[str(row["topic"])] == service],
            "consumer_cursor": [row for row in log.cursors if _service(str(row["consumer_group"])) == service],
            "dead_letter": [row for row in letters if _service(str(row["consumer_group"])) == service],
            "stored_layout": [row for row in layouts if str(row["name"]).startswith(f"{service}_")],
        }
        for name, rows in of_service.items():
            contents[_table(service, name)] = rows
    return contents


def deal(backup: BackupFile, partitions: int) -> Log:
    """The log of one partition a topic, dealt to that many by the records' keys."""
    log = Log([], [], [])
    cursors = list(backup.rows(_bus_table(backup, BUS, "consumer_cursor")))
    blocks = backup.rows(_bus_table(backup, BUS, "log_block"), "ORDER BY topic, base_offset")
    by_topic: dict[str, list[Row]] = defaultdict(list)
    for row in blocks:
        by_topic[str(row["topic"])].append(row)
    for topic in TOPICS:
        theirs = {str(row["consumer_group"]): row for row in cursors if row["topic"] == topic.name}
        _deal_topic(log, topic.name, by_topic[topic.name], theirs, partitions)
    return log


def _deal_topic(log: Log, topic: str, blocks: list[Row], cursors: dict[str, Row], partitions: int) -> None:
    read = {group: _int(cursors[group]["next_offset"]) if group in cursors else 0 for group in READERS[topic]}
    begin = 0 if topic == USAGE.name else min(read.values())
    ends: dict[int, int] = defaultdict(int)
    counted: dict[str, dict[int, int]] = {group: defaultdict(int) for group in read}
    for block in blocks:
        kept: list[ProducerRecord] = []
        for offset, record in enumerate(decode_block(_bytes(block["block"])), _int(block["base_offset"])):
            if offset < begin:
                continue
            kept.append(record)
            number = partition_of(record.key, partitions)
            for group, next_offset in read.items():
                counted[group][number] += offset < next_offset
        for number, records in sorted(group_by_partition(kept, partitions).items()):
            for piece in split(records):
                log.blocks.append(_block(topic, number, ends[number], piece, block["appended_at"]))
                ends[number] += len(piece)
    log.ends.extend(_end(topic, number, end) for number, end in sorted(ends.items()))
    for group, cursor in cursors.items():
        log.cursors.extend(_cursor(cursor, number, 0, counted[group][number]) for number in range(partitions))


def _block(topic: str, partition: int, base: int, records: list[ProducerRecord], appended_at: Any) -> Row:
    return {
        "topic": topic,
        "partition": partition,
        "base_offset": base,
        "record_count": len(records),
        "block": encode_block(records),
        "appended_at": appended_at,
    }


def _end(topic: str, partition: int, end: int) -> Row:
    return {"topic": topic, "partition": partition, "next_offset": end, "relayed_offset": 0}


def _cursor(cursor: Row, partition: int, offset: int, sequence: int) -> Row:
    """A cursor in another log: nothing is known of the record before it, and nobody owns it."""
    place = {"partition": partition, "next_offset": offset, "next_sequence": sequence}
    return {**cursor, **place, "owner": "", "last_fingerprint": None}


def to_embedded(backup: BackupFile) -> Contents:
    """The tables of one SQLite file from a backup of PostgreSQL.

    Raises Refused where a message that somebody has still to read stands in Kafka only, or where two groups have each read
    what the other has not: one log of one partition cannot say that.
    """
    contents = service_rows(backup, 1)
    every = {name: list(_of_all(backup, name)) for name in _CARRIED}
    log = Log([], [], [])
    for topic in TOPICS:
        blocks = [row for row in every["log_block"] if row["topic"] == topic.name]
        ends = {
            _int(row["partition"]): _int(row["next_offset"]) for row in every["log_end"] if row["topic"] == topic.name
        }
        cursors = [row for row in every["consumer_cursor"] if row["topic"] == topic.name]
        _join_topic(log, topic.name, blocks, ends, cursors)
    contents[_table(BUS, "log_block")] = log.blocks
    contents[_table(BUS, "log_end")] = log.ends
    contents[_table(BUS, "consumer_cursor")] = log.cursors
    contents[_table(BUS, "dead_letter")] = list(_letters(every["dead_letter"], 1))
    contents[_table(BUS, "stored_layout")] = every["stored_layout"]
    return contents


class Piece(NamedTuple):
    """Records of one partition that the same groups have read."""

    readers: frozenset[str]
    appended_at: Any
    records: list[ProducerRecord]


def _join_topic(log: Log, topic: str, blocks: list[Row], ends: dict[int, int], cursors: list[Row]) -> None:
    """The partitions of a topic as one: first what most groups have read, then by time; in a partition nothing changes place."""
    read = {(str(row["consumer_group"]), _int(row["partition"])): _int(row["next_sequence"]) for row in cursors}
    pieces: list[list[Piece]] = []
    for partition, end in sorted(ends.items()):
        of_groups = {group: read.get((group, partition), 0) for group in READERS[topic]}
        own = sorted((row for row in blocks if row["partition"] == partition), key=lambda one: _int(one["base_offset"]))
        least = min(of_groups.values())
        if least < (_int(own[0]["base_offset"]) if own else end):
            slowest = min(of_groups, key=lambda group: of_groups[group])
            raise _unread(slowest, topic, partition, least, end)
        pieces.append([piece for row in own for piece in _pieces(row, of_groups)])
    counted, base = dict.fromkeys(READERS[topic], 0), 0
    for piece in _in_order(pieces, keep_read=topic == USAGE.name, groups=len(READERS[topic])):
        for group in piece.readers:
            if counted[group] < base:
                raise Refused(
                    f"the groups of {topic} have each read what another has not: let them run until readyz shows no lag"
                )
            counted[group] += len(piece.records)
        for part in split(piece.records):
            log.blocks.append(_block(topic, 0, base, part, piece.appended_at))
            base += len(part)
    log.ends.extend([_end(topic, 0, base)] if base else [])
    newest = {str(row["consumer_group"]): row for row in cursors}
    log.cursors.extend(_cursor(row, 0, counted[group], counted[group]) for group, row in newest.items())


def _pieces(row: Row, read: Mapping[str, int]) -> Iterator[Piece]:
    base, records = _int(row["base_offset"]), decode_block(_bytes(row["block"]))
    cuts = sorted({base, base + len(records), *(end for end in read.values() if base < end < base + len(records))})
    for start, end in pairwise(cuts):
        readers = frozenset(group for group, until in read.items() if until > start)
        yield Piece(readers, row["appended_at"], records[start - base : end - base])


def _in_order(pieces: list[list[Piece]], *, keep_read: bool, groups: int) -> Iterator[Piece]:
    for level in range(groups if keep_read else groups - 1, -1, -1):
        of_level = ([piece for piece in own if len(piece.readers) == level] for own in pieces)
        yield from heapq.merge(*of_level, key=lambda piece: _int(piece.appended_at))


def _unread(group: str, topic: str, partition: int, read: int, end: int) -> Refused:
    return Refused(
        f"{group} has not read all of {topic}[{partition}]: {read} of {end} messages, and the next stand in Kafka only; let "
        "every service run until readyz shows no lag, and stop it then"
    )


def _letters(rows: Iterable[Row], partitions: int) -> Iterator[Row]:
    for row in rows:
        partition = partition_of(_bytes(row["key"]), partitions)
        offset = _ELSEWHERE * (2 * _int(row["partition"]) + 1) + _int(row["offset"])
        group, topic = str(row["consumer_group"]), str(row["topic"])
        new_id = dead_letter_id(group, topic, partition, offset)
        yield {**row, "id": new_id, "partition": partition, "offset": offset, "sequence": -1}


def _of_all(backup: BackupFile, name: str) -> Iterator[Row]:
    for service in OWNERS:
        yield from backup.rows(_bus_table(backup, service, name))


def _bus_table(backup: BackupFile, schema: str, name: str) -> StoredTable:
    found = next((one for one in backup.tables() if one.schema == schema and one.name == name), None)
    if found is None:
        raise Refused(f"{backup.path} has no table {name}: it is of an older version; restore it, then move it")
    return found


def _table(schema: str, name: str) -> StoredTable:
    return StoredTable(schema, name, tuple(column.name for column in bus_metadata.tables[name].columns))


def _service(group: str) -> str:
    service = group.partition("-")[0]
    if service not in OWNERS:
        raise Refused(f"the group {group} belongs to no service of this version")
    return service


def _int(value: object) -> int:
    assert isinstance(value, int)  # noqa: S101  the column's type
    return value


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)  # noqa: S101  the column's type
    return value
