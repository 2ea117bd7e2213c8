"""Console sessions and the attempts to begin one. Sessions are opaque, stored hashed, revocable, and over when idle or old.

Both outlive a process, and all processes know them. Of attempts it is kept what is left to an address (its network) and to all.

The cookie is 32 random bytes and says nothing. What the console asks the services for goes under a signed token of a few minutes
(`Delegation`), so that the key itself is kept nowhere.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, delete, select, update

from shared.access.tables import access_attempt, access_session
from shared.clock import Clock
from shared.db.protocol import Read, Tx
from shared.keys import Acting, Key, Keys
from shared.links import BadLink, Links

LIFETIME = timedelta(hours=12)
"""However busy, a session ends then."""
IDLE = timedelta(hours=4)
"""Without a request it ends then."""
SEEN_IS_KNOWN_TO = timedelta(minutes=1)
"""How exactly the last request is kept."""
_KEPT = timedelta(days=30)
"""How long it is remembered that there was one."""
_MAX_AGENT = 200
_columns = access_session.c
EVERYBODY = ""
"""The row of all together: no address is empty, and this one sorts before each."""
NOBODY_TRIED = 1e9
"""More than any allowance: nobody tried yet."""
_FORGOTTEN_AFTER = timedelta(hours=1)
"""By then any allowance is whole again."""
_attempt = access_attempt.c


class Session(NamedTuple):
    """A session, by its public id. `key_check` recognises the key it was started with."""

    id: str
    key_id: str
    key_check: bytes
    started_at: datetime
    last_seen_at: datetime
    address: str
    agent: str

    @property
    def ends_at(self) -> datetime:
        """When it is over, if nobody asks anything in it."""
        return min(self.started_at + LIFETIME, self.last_seen_at + IDLE)


class NewSession(NamedTuple):
    """A session, and its cookie, which nobody is told again."""

    session: Session
    cookie: str


async def start(tx: Tx, key_id: str, key_check: bytes, address: str, agent: str, now: datetime) -> NewSession:
    """Begin one. Those that ended long ago are forgotten."""
    await tx.run(delete(access_session).where(_columns.started_at < now - LIFETIME - _KEPT))
    cookie = secrets.token_urlsafe(32)
    session = Session(secrets.token_hex(6), key_id, key_check, now, now, address, agent[:_MAX_AGENT])
    await tx.insert(access_session, [session._asdict() | {"digest": _digest(cookie)}])
    return NewSession(session, cookie)


async def load(read: Read, cookie: str, now: datetime) -> Session | None:
    """The live session of this cookie. Looked up by digest: nothing is compared byte by byte."""
    row = await read.first(select(access_session).where(_columns.digest == _digest(cookie), *_live(now)))
    return None if row is None else _session(row)


async def live(read: Read, now: datetime) -> Sequence[Session]:
    """Every live session, the newest first."""
    rows = await read.all(select(access_session).where(*_live(now)).order_by(_columns.started_at.desc(), _columns.id))
    return [_session(row) for row in rows]


async def seen(tx: Tx, session: Session, now: datetime) -> None:
    """Somebody asked something in it."""
    await tx.run(update(access_session).where(_columns.id == session.id).values(last_seen_at=now))


async def end(tx: Tx, ids: Sequence[str], now: datetime) -> None:
    """They are over, whoever has their cookie."""
    await tx.run(update(access_session).where(_columns.id.in_(ids), _columns.ended_at.is_(None)).values(ended_at=now))


async def knows(read: Read, address: str) -> bool:
    """Whether a session was started from this address of late."""
    return await read.first(select(_columns.id).where(_columns.address == address).limit(1)) is not None


class Delegation:
    """Tokens by which the console asks services on behalf of a session: signed with the installation's secret.

    The services read name and kind from their own keys: a token is worth nothing once its key is revoked.
    """

    _PURPOSE = "console asks"
    _LIFETIME = timedelta(minutes=5)
    """So far may the clocks of two machines differ; within a request it is milliseconds old."""

    def __init__(self, secret: bytes, keys: Keys, clock: Clock) -> None:
        self._links = Links(secret)
        self._keys = keys
        self._clock = clock

    def token(self, session: Session, address: str) -> str:
        """What the console shows to a service."""
        subject = {"key": session.key_id, "session": session.id, "address": address}
        return self._links.sign(self._PURPOSE, subject, self._clock.now() + self._LIFETIME)

    def key(self, token: str) -> Key | None:
        """The key for whose session it was signed, or None."""
        try:
            subject = self._links.read(self._PURPOSE, token, self._clock.now())
        except BadLink:
            return None
        key = self._keys.of_id(subject["key"])
        return None if key is None else key._replace(acting=Acting(subject["session"], subject["address"]))


class Left(NamedTuple):
    """The attempts at the console's keys that were left at a time."""

    attempts: float
    at: datetime


async def lock_attempts(tx: Tx, network: str, now: datetime) -> dict[str, Left]:
    """What is left to the network, where it tried of late, and to all; both locked. What is of no account any more is removed.

    Whoever tries locks the row of all first, so there is no other order.
    """
    rows = select(access_attempt).with_for_update()
    found = await tx.all(rows.where(_attempt.network == EVERYBODY))
    if not found:
        await tx.insert_new(access_attempt, [{"network": EVERYBODY, "attempts": NOBODY_TRIED, "at": now}])
        found = await tx.all(rows.where(_attempt.network == EVERYBODY))
    await tx.run(delete(access_attempt).where(_attempt.at < now - _FORGOTTEN_AFTER, _attempt.network != EVERYBODY))
    own = await tx.all(rows.where(_attempt.network == network))
    return {row.network: Left(row.attempts, row.at) for row in [*found, *own]}


async def save_attempts(tx: Tx, left: Mapping[str, Left]) -> None:
    """What is left now, of locked rows."""
    rows = [{"network": network, "attempts": one.attempts, "at": one.at} for network, one in sorted(left.items())]
    await tx.upsert(access_attempt, rows)


def _live(now: datetime) -> list[ColumnElement[bool]]:
    return [
        _columns.ended_at.is_(None),
        _columns.started_at > now - LIFETIME,
        _columns.last_seen_at > now - IDLE,
    ]


def _digest(cookie: str) -> bytes:
    return sha256(cookie.encode()).digest()


def _session(row: Row[Any]) -> Session:
    return Session(row.id, row.key_id, bytes(row.key_check), row.started_at, row.last_seen_at, row.address, row.agent)
