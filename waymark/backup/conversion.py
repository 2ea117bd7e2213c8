"""Conversion: the tables of one deployment as those of the other, with the log dealt to other partitions.

One process on SQLite keeps one log of one partition a topic in its file. Scaled out, each service has an outbox in its
schema, from which the relay fills Kafka's partitions. So the log's records are dealt anew by their keys, and cursors say
how many records of each partition a group has read; what every group has read is left out, except of the archive.
Services' own rows stay as they are, up to the columns that name places in a log.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from shared.bus.outbox import decode_block, encode_block, split
from shared.bus.producer import group_by_partition, partition_of
from shared.bus.protocol import ProducerRecord
from shared.bus.tables import metadata as bus_metadata
from shared.contracts.topics import TOPICS, USAGE
from shared.failures import Refused
from shared.service.dead_letters import dead_letter_id
from waymark.backup.content import POSITIONS, Digest, Row, StoredTable, digest_of
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
    return {table: _placed(table, backup.rows(table), partitions) for table in own}


def _placed(table: StoredTable, rows: Iterable[Row], partitions: int) -> Iterator[Row]:
    """The rows in the places of another log: an account in the partition of its id, a key of no batch."""
    moved = POSITIONS & set(table.columns)
    for row in rows:
        yield {**row, **{name: _place(name, row, partitions) for name in moved}} if moved else row


def _place(column: str, row: Row, partitions: int) -> int:
    return partition_of(str(row["id"]).encode(), partitions) if column == "partition" else _NO_BATCH


def digests(backup: BackupFile) -> dict[str, Digest]:
    """The state of every service: the digest of each of its tables, whatever the deployment, and that of the archive."""
    own = (table for table in backup.tables() if table.name not in bus_metadata.tables)
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
    """The tables of one SQLite file from a backup of PostgreSQL. Raises Refused where a group has not read everything."""
    refuse_unread(backup)
    contents = service_rows(backup, 1)
    every = {name: list(_of_all(backup, name)) for name in bus_metadata.tables}
    archive = list(
        _merged(backup.rows(_bus_table(backup, str(USAGE.producer), "log_block"), "ORDER BY partition, base_offset"))
    )
    end = sum(_int(row["record_count"]) for row in archive)
    cursors = {(str(row["consumer_group"]), str(row["topic"])): row for row in every["consumer_cursor"]}
    places = {key: end if key[1] == USAGE.name else 0 for key in cursors}
    contents[_table(BUS, "log_block")] = archive
    contents[_table(BUS, "log_end")] = [_end(USAGE.name, 0, end)] if archive else []
    contents[_table(BUS, "consumer_cursor")] = [
        _cursor(row, 0, places[key], places[key]) for key, row in cursors.items()
    ]
    contents[_table(BUS, "dead_letter")] = list(_letters(every["dead_letter"], 1))
    contents[_table(BUS, "stored_layout")] = every["stored_layout"]
    return contents


def refuse_unread(backup: BackupFile) -> None:
    """Raises Refused where a message of ours has not been read by every group: it would stay behind in Kafka."""
    ends = {(row["topic"], row["partition"]): _int(row["next_offset"]) for row in _of_all(backup, "log_end")}
    cursors = {(r["consumer_group"], r["topic"], r["partition"]): r for r in _of_all(backup, "consumer_cursor")}
    for (topic, partition), end in ends.items():
        for group in READERS[str(topic)]:
            cursor = cursors.get((group, topic, partition))
            read = 0 if cursor is None else _int(cursor["next_sequence"])
            if read < end:
                raise Refused(
                    f"{group} has not read all of {topic!s}[{partition!s}]: {read} of {end} messages; let every service run "
                    "until readyz shows no lag, and stop it then"
                )


def _merged(blocks: Iterable[Row]) -> Iterator[Row]:
    """The archive's partitions as one, in the order of their times; within a partition the order stays as it is."""
    by_partition: dict[Any, list[Row]] = defaultdict(list)
    for row in blocks:
        if row["topic"] == USAGE.name:
            by_partition[row["partition"]].append(row)
    base = 0
    for row in heapq.merge(*by_partition.values(), key=lambda one: _int(one["appended_at"])):
        yield {**row, "partition": 0, "base_offset": base}
        base += _int(row["record_count"])


def _letters(rows: Iterable[Row], partitions: int) -> Iterator[Row]:
    for row in rows:
        partition = partition_of(_bytes(row["key"]), partitions)
        offset = _ELSEWHERE * (2 * _int(row["partition"]) + 1) + _int(row["offset"])
        group, topic = str(row["consumer_group"]), str(row["topic"])
        new_id = dead_letter_id(group, topic, partition, offset)
        yield {**row, "id": new_id, "partition": partition, "offset": offset}


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
