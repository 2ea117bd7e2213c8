"""Record blocks: many records stored as one value, a MessagePack array of (key, value, meta) compressed with LZ4."""

from collections.abc import Iterator

import cramjam
import msgspec

from shared.bus.producer import size_of
from shared.bus.protocol import ProducerRecord

MAX_RECORDS = 1000
"""Of one block: small enough that a reader's batch can be cut between blocks."""

MAX_BYTES = 1024 * 1024
"""Of one block, before compression, unless one record alone has more."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[ProducerRecord]).decode


def encode_block(records: list[ProducerRecord]) -> bytes:
    """The block of these records."""
    return bytes(cramjam.lz4.compress_block(_encode(records)))


def decode_block(block: bytes) -> list[ProducerRecord]:
    """The records of this block."""
    return _decode(bytes(cramjam.lz4.decompress_block(block)))


def split(records: list[ProducerRecord]) -> Iterator[list[ProducerRecord]]:
    """Pieces of at most MAX_RECORDS records and MAX_BYTES bytes (or a single record that is larger), in order."""
    if len(records) <= MAX_RECORDS and size_of(records).bytes <= MAX_BYTES:
        if records:
            yield records
        return
    piece: list[ProducerRecord] = []
    size = 0
    for record in records:
        more = len(record.key) + len(record.value) + len(record.meta)
        if piece and (len(piece) == MAX_RECORDS or size + more > MAX_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(record)
        size += more
    if piece:
        yield piece
