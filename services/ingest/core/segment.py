"""Segment API: the shapes that tracking SDKs send, where they put write keys, and a posted body cut into raw records.

The shapes are read loosely: nulls, numbers for ids, and unknown keys are normal. Records of `usage.raw.v1` hold no write key.
"""

import base64
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice, pairwise
from typing import Any, NamedTuple

import msgspec

from shared.bus.protocol import ProducerRecord
from shared.contracts.usage import OF_SETTINGS, Source, SourceKind, Times
from shared.failures import Refused
from shared.ids import derived

MAX_EVENTS = 20_000
"""In one body: 20 MiB of empty events would be millions."""
MAX_EVENT_BYTES = 1024 * 1024
MAX_ID_LENGTH = 512
MAX_NAME_LENGTH = 256
MAX_DEPTH = 32
"""Objects and arrays inside each other: what is deeper would end some reader's recursion later on."""
_TOO_LARGE_EXCERPT = 4096
"""Bytes that travel of an event over MAX_EVENT_BYTES, to be seen among the parked records."""

Id = str | int | float | None
_NUMBERS = (int, float)
_WRITE_KEY_MEMBER = re.compile(rb'"writeKey"\s{0,9}:\s{0,9}("[^"\\]*+(?:\\.[^"\\]*+)*+")', re.DOTALL)
"""Inside a string its quotes would be escaped: this finds members only."""
_WRITE_KEY_NAME = b'"writeKey"'
_MAX_WRITE_KEYS = 100
"""A body of an SDK names its key at most once beside each event, always the same; more of them are not looked up."""
_decode_text = msgspec.json.Decoder(str).decode


class Context(msgspec.Struct, gc=False, rename="camel"):
    """The fields of `context` that count: the group, and what is said of the user: traits, and consent (Segment's categories)."""

    group_id: Id = None
    traits: msgspec.Raw = msgspec.Raw(b"")
    consent: msgspec.Raw = msgspec.Raw(b"")


class SegmentEvent(msgspec.Struct, gc=False, rename="camel"):
    """One event as it arrived."""

    type: str | None = None
    message_id: Id = None
    event: str | None = None
    name: str | None = None
    user_id: Id = None
    anonymous_id: Id = None
    group_id: Id = None
    previous_id: Id = None
    timestamp: Id = None
    original_timestamp: Id = None
    sent_at: Id = None
    context: Context | None = None
    properties: msgspec.Raw = msgspec.Raw(b"")
    traits: msgspec.Raw = msgspec.Raw(b"")
    history: str | None = None
    import_position: Any = None


class GroupContext(msgspec.Struct, gc=False, rename="camel"):
    """The group of a `context`, and nothing else."""

    group_id: Id = None


class RoutingFields(msgspec.Struct, gc=False, rename="camel"):
    """The fields of an event that decide its partition key and whether it needs an id. The consumer reads the rest."""

    message_id: Id = None
    user_id: Id = None
    anonymous_id: Id = None
    group_id: Id = None
    timestamp: Id = None
    original_timestamp: Id = None
    context: GroupContext | None = None


class IdentityFields(RoutingFields, gc=False, rename="camel"):
    """The fields of an event that name an account or a user."""

    previous_id: Id = None


class Envelope(msgspec.Struct, gc=False):
    """A posted body: a batch, or a single event beside these keys (then `batch` is None).

    A `sentAt` of any other kind corrects nothing, a `writeKey` that is no text is none: neither costs the events their place.
    """

    batch: list[msgspec.Raw] | None = None
    sentAt: Any = None  # noqa: N815  as on the wire
    writeKey: Any = None  # noqa: N815
    context: msgspec.Raw = msgspec.Raw(b"")
    history: str | None = None

    def __post_init__(self) -> None:
        if self.writeKey.__class__ is not str:
            self.writeKey = None
        sent_at = self.sentAt
        if sent_at.__class__ is str:
            self.sentAt = sent_at if len(sent_at) <= _MAX_TIME_LENGTH else None
        elif sent_at.__class__ not in _NUMBERS or not -_MAX_TIME < sent_at < _MAX_TIME:
            self.sentAt = None


class RecordMeta(msgspec.Struct, gc=False, omit_defaults=True):
    """What the request says about its events; travels beside each raw record.

    `source` names the write key, `trust` is its kind, `type` comes from the path, `group` from the batch's context. `id` is generated for an
    event that has neither id nor timestamp; `size` is that of an event too large to travel, of which only the start did.
    `stamped_at` is what the receiving server's clock said, where that could not be and `received_at` was put in its place.
    The last three are the key's own bounds of time, as they were when it was received: so a replay believes what was believed.
    """

    source: str
    received_at: str
    sent_at: Id = None
    type: str | None = None
    history: str | None = None
    group: str = ""
    id: str | None = None
    size: int = 0
    trust: SourceKind = "server"
    stamped_at: str | None = None
    days_back: int | None = None
    minutes_ahead: int | None = None
    import_days_back: int | None = None


_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_identities = msgspec.json.Decoder(IdentityFields).decode
_decode_routing = msgspec.json.Decoder(RoutingFields).decode
_decode_group = msgspec.json.Decoder(GroupContext).decode
_decode_meta = msgspec.json.Decoder(RecordMeta).decode
_encode = msgspec.json.Encoder().encode
_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
"""A string, or the rest of a text that ends inside one: else each escaped quote of it would be tried as a beginning."""
_STRING_OR_NO_NUMBER = re.compile(_STRING + rb"|(-?\b(?:NaN|Infinity)\b)", re.DOTALL)
_TOKEN = re.compile(_STRING + rb"|[\[\]{},]", re.DOTALL)
_CLOSER_OF = {b"[": b"]", b"{": b"}"}
_QUOTE = ord('"')
_MAX_TIME_LENGTH = 64
_MAX_TIME = 1e18
_MAX_MEMBERS = 1_000
"""Of a body that has to be cut: no SDK has so many."""
_IN_BATCH = 2
"""The depth of a batch's events: the body's object, and the batch's array."""
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def id_text(value: Id) -> str:
    """An id as text; empty for none. 17.0 sent by JavaScript is "17"."""
    if value.__class__ is str:  # all but a few
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def parse_envelope(body: bytes) -> Envelope:
    """Raises Refused when the body is not JSON, or not an object of the expected shape."""
    try:
        envelope = _decode_envelope(body)
    except msgspec.ValidationError as error:
        raise Refused(f'not {{"batch": [...]}}, nor one event: {error}', "bad_shape") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"the body is not JSON: {error}", "bad_json") from None
    except RecursionError:
        raise Refused("the body is nested too deeply", "too_deep") from None
    return _limited(envelope)


def parse_unclean_envelope(body: bytes) -> tuple[Envelope, bytes]:
    """The envelope of a body that `parse_envelope` refuses, and the body as it was mended.

    What can be mended is; a batch in which an event still is not JSON, or too deep, is cut at its commas, so that only that
    event is parked, and what cannot be read beside it is passed over. Raises Refused where neither helps.
    """
    mended = mend(body)
    try:
        return parse_envelope(mended), mended
    except Refused as why:
        cut = _cut(mended) if why.code in {"bad_json", "too_deep"} else None
        if cut is None:
            raise
        around, events = cut
        envelope = _readable_envelope(around)
        envelope.batch = [msgspec.Raw(event) for event in events]
        return _limited(envelope), mended


def _limited(envelope: Envelope) -> Envelope:
    if envelope.batch is not None and len(envelope.batch) > MAX_EVENTS:
        raise Refused(f"{len(envelope.batch)} events in one body; the most is {MAX_EVENTS}", "too_many", 413)
    return envelope


def mend(text: bytes) -> bytes:
    """JSON without what JSON does not have, and SDKs send: a byte order mark, UTF-16, NaN and Infinity (null), half characters."""
    if text[:2] in {BOM_UTF16_LE, BOM_UTF16_BE}:
        text = text.decode("utf-16", "replace").encode()
    text = text.removeprefix(BOM_UTF8)
    if b"NaN" in text or b"Infinity" in text:
        text = _STRING_OR_NO_NUMBER.sub(lambda token: b"null" if token[1] else token[0], text)
    return replace_lone_surrogates(text)


def replace_lone_surrogates(body: bytes) -> bytes:
    """Half characters (JSON.stringify and json.dumps write them for a cut emoji) replaced by U+FFFD, as browsers do."""
    return _ESCAPE.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], body) if b"\\u" in body else body


def _cut(body: bytes) -> tuple[bytes, list[bytes]] | None:
    """The body with an empty batch, and the events of its batch; None where brackets do not match or there is no batch.

    Nothing here recurses, whatever the nesting.
    """
    closers, last_key, began, cuts, ended = bytearray(), (b"", 0), 0, list[int](), 0
    for token in _TOKEN.finditer(body):
        mark, depth = token[0], len(closers)
        if mark[0] == _QUOTE:
            last_key = (mark, token.end()) if depth == 1 else last_key
        elif mark in _CLOSER_OF:
            is_batch = depth == 1 and mark == b"[" and last_key[0] == b'"batch"'
            if is_batch and not began and body[last_key[1] : token.start()].strip() == b":":
                began = token.end()
            closers += _CLOSER_OF[mark]
        elif mark != b",":
            if not closers or closers.pop() != mark[0]:
                return None
            if began and not ended and depth == _IN_BATCH:
                ended = token.start()
        elif began and not ended and depth == _IN_BATCH:
            _add_cut(cuts, token.start())
    if closers or not ended:
        return None
    starts, ends = [began, *(cut + 1 for cut in cuts)], [*cuts, ended]
    return body[:began] + body[ended:], [body[start:end].strip() for start, end in zip(starts, ends, strict=True)]


def _readable_envelope(around: bytes) -> Envelope:
    """The envelope without the members that cannot be read, whatever their nesting.

    Raises Refused where it is not one object, and for a `history` that cannot be read: nobody wants an import taken as live.
    """
    try:
        return parse_envelope(around)
    except Refused:
        members = _members(around.strip())
        if not members:
            raise
    return parse_envelope(b"{%b}" % b",".join(one for one in members if _is_readable(one)))


def _is_readable(member: bytes) -> bool:
    try:
        parse_envelope(b"{%b}" % member)
    except Refused:
        if member.startswith(b'"history"'):
            raise
        return False
    return True


def _members(body: bytes) -> list[bytes]:
    """The members of an object whose brackets match, each as it stands; none where it is not one object, or has too many."""
    depth, cuts, ends = 0, [0], list[int]()
    for token in _TOKEN.finditer(body):
        mark = token[0]
        if mark in _CLOSER_OF:
            depth += 1
        elif mark == b",":
            if depth == 1:
                cuts.append(token.start())
        elif mark[0] != _QUOTE:
            depth -= 1
            if depth == 0:
                ends.append(token.end())
        if len(cuts) > _MAX_MEMBERS:
            return []
    if ends != [len(body)] or body[:1] != b"{":
        return []
    cuts.append(len(body) - 1)
    return [body[start + 1 : end].strip() for start, end in pairwise(cuts)]


def _add_cut(cuts: list[int], comma: int) -> None:
    cuts.append(comma)
    if len(cuts) == MAX_EVENTS:
        raise Refused(f"over {MAX_EVENTS} events in one body", "too_many", 413)


def raw_records(
    envelope: Envelope,
    body: bytes,
    source: Source,
    path_type: str | None,
    now: datetime,
    write_key: str = "",
    times: Times = OF_SETTINGS,
) -> Iterator[ProducerRecord]:
    """The raw records of a body, without the write key that it came with.

    Events are not validated here: a bad one travels on, and is parked with its reason. What the request says travels beside each of
    them, so it is short: of an id that is too long there is enough to see that it is.
    """
    meta = RecordMeta(
        source.name,
        now.isoformat(),
        envelope.sentAt,
        path_type,
        envelope.history[: MAX_ID_LENGTH + 1] if envelope.history else envelope.history,
        _batch_group(envelope)[: MAX_ID_LENGTH + 1],
        trust=source.kind,
        **times._asdict(),
    )
    common = _encode(meta)
    events: Iterable[bytes] = map(bytes, envelope.batch) if envelope.batch is not None else [body]
    key_text = write_key.encode()
    in_envelope = int(envelope.batch is not None and envelope.writeKey is not None)
    if key_text and stands_in_events(body, key_text, in_envelope):
        events = (without_write_keys(event, key_text) for event in events)
    for index, event in enumerate(events):
        raw, key, identifiable = _routed(event, meta.group)
        if len(raw) > MAX_EVENT_BYTES:
            yield ProducerRecord(key, raw[:_TOO_LARGE_EXCERPT], _encode(msgspec.structs.replace(meta, size=len(raw))))
        elif identifiable:
            yield ProducerRecord(key, raw, common)
        else:
            generated = derived("minted", source.name, meta.received_at, index, raw)
            yield ProducerRecord(key, raw, _encode(msgspec.structs.replace(meta, id=generated)))


class Identities(NamedTuple):
    """The accounts and the users that events name."""

    accounts: set[str]
    users: set[str]


def identities(records: Sequence[ProducerRecord]) -> Identities:
    """Whom these records of one body name, as the consumer will read them; one that cannot be read names nobody."""
    found = Identities(set(), set())
    group = _decode_meta(records[0].meta).group if records else ""
    for record in records:
        try:
            fields = _decode_identities(record.value)
        except _DECODE_ERRORS:
            continue
        context_group = id_text(fields.context.group_id) if fields.context else ""
        found.accounts.add(context_group or group or id_text(fields.group_id))
        found.users.update((id_text(fields.user_id) or id_text(fields.anonymous_id), id_text(fields.previous_id)))
    found.accounts.discard("")
    found.users.discard("")
    return found


def _batch_group(envelope: Envelope) -> str:
    """The group in the batch's context; a single event's context is the event's own."""
    try:
        return id_text(_decode_group(envelope.context).group_id) if envelope.batch is not None else ""
    except _DECODE_ERRORS:
        return ""


def _routed(raw: bytes, batch_group: str) -> tuple[bytes, bytes, bool]:
    """The event with its key, mended where it cannot be decoded; one that cannot be mended travels on, to be parked."""
    try:
        return raw, *_partition_key(raw, batch_group)
    except _DECODE_ERRORS:
        mended = mend(raw)
    try:
        return mended, *_partition_key(mended, batch_group)
    except _DECODE_ERRORS:
        return raw, b"", True


def _partition_key(raw: bytes, batch_group: str) -> tuple[bytes, bool]:
    """The partition key (the account, else the user), and whether id or timestamp tell the event from equal ones."""
    fields = _decode_routing(raw)
    context_group = id_text(fields.context.group_id) if fields.context else ""
    account = context_group or batch_group or id_text(fields.group_id)
    key = account or id_text(fields.user_id) or id_text(fields.anonymous_id)
    timed = fields.timestamp is not None or fields.original_timestamp is not None
    return key.encode() if len(key) <= MAX_ID_LENGTH else b"", timed or id_text(fields.message_id) != ""


class HeadCredentials(NamedTuple):
    """What the head of a request says: `deciding` stands before whatever the body says, `bearer` behind it."""

    deciding: str
    bearer: str


def credentials_in_head(authorization: str, query: str) -> HeadCredentials:
    """SDKs put the write key in four places, and mean it in this order.

    Basic user name, `?writeKey=`, `writeKey` in the body, and last Bearer, which may be an OAuth token beside them.
    """
    scheme, _, token = authorization.partition(" ")
    scheme = scheme.lower()
    basic = _basic_user_name(token.strip()) if scheme == "basic" else ""
    return HeadCredentials(basic or query, token.strip() if scheme == "bearer" else "")


def write_keys_in(body: bytes) -> Iterator[str]:
    """The write keys that a body names, each once, found without parsing it."""
    named = (match[1] for match in _WRITE_KEY_MEMBER.finditer(body))
    return iter(dict.fromkeys(filter(None, map(_text, islice(named, _MAX_WRITE_KEYS)))))


def stands_in_events(body: bytes, write_key: bytes, in_envelope: int) -> bool:
    """Whether a write key may stand in an event of this body, beside the `in_envelope` times that the envelope names it."""
    return body.count(_WRITE_KEY_NAME) > in_envelope or body.count(write_key) > in_envelope


def without_write_keys(event: bytes, write_key: bytes) -> bytes:
    """The event as it may be stored: no member `writeKey` has a value, and the key of the request stands nowhere in it."""
    named = event.count(_WRITE_KEY_NAME)
    if named and event.count(as_written := b'"writeKey":"%b"' % write_key) == named:
        event = event.replace(as_written, b'"writeKey":null')
    elif named:
        event = _WRITE_KEY_MEMBER.sub(b'"writeKey":null', event)
    return event.replace(write_key, b"[write key]") if write_key in event else event


def _text(member: bytes) -> str:
    try:
        return _decode_text(member)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _basic_user_name(token: str) -> str:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), validate=True).decode().partition(":")[0]
    except ValueError:
        return ""
