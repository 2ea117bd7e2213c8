"""How are many records kept as one value? A MessagePack array of (key, value, meta), compressed with LZ4."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import cramjam
import msgspec

from shared.bus.gather import size_of
from shared.bus.partitioner import partition_of
from shared.bus.protocol import Outgoing

SIZE = 1000
"""Most records in one block: small enough that a reader's batch can be cut between blocks."""

BYTES = 1024 * 1024
"""Most bytes in one block, before compression, unless one record alone has more."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Outgoing]).decode


def encoded(records: list[Outgoing]) -> bytes:
    """The block of these records."""
    return bytes(cramjam.lz4.compress_block(_encode(records)))


def decoded(block: bytes) -> list[Outgoing]:
    """The records of this block."""
    return _decode(bytes(cramjam.lz4.decompress_block(block)))


def cut(records: list[Outgoing]) -> Iterator[list[Outgoing]]:
    """Pieces of at most SIZE records and BYTES bytes (or a single record that is larger), in order."""
    if len(records) <= SIZE and size_of(records).bytes <= BYTES:
        if records:
            yield records
        return
    piece: list[Outgoing] = []
    size = 0
    for record in records:
        more = len(record.key) + len(record.value) + len(record.meta)
        if piece and (len(piece) == SIZE or size + more > BYTES):
            yield piece
            piece, size = [], 0
        piece.append(record)
        size += more
    if piece:
        yield piece


def by_partition(records: Iterable[Outgoing], partitions: int) -> dict[int, list[Outgoing]]:
    """The records of each partition, in order."""
    shares: dict[int, list[Outgoing]] = defaultdict(list)
    for record in records:
        shares[partition_of(record.key, partitions)].append(record)
    return shares
