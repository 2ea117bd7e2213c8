"""API keys, 32 random bytes stored as SHA-256, and the secret of the installation.

Kinds: `browser`, `server` and `import` post usage events (a browser's key is public by nature), `read` queries, `admin` changes
things. `write`, in WAYMARK_KEYS and in `credentials.json`, means `server`.
"""

import json
import os
import secrets
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

from shared.contracts.usage import Source, SourceKind
from shared.failures import Refused
from shared.files import private_folder, tighten
from shared.settings import Settings

Kind = SourceKind | Literal["read", "admin"]
SOURCE_KINDS: tuple[SourceKind, ...] = get_args(SourceKind)
"""The kinds whose keys post usage events."""
KINDS: tuple[Kind, ...] = (*SOURCE_KINDS, "read", "admin")
_GENERATED = ("write", "read", "admin")
_NAMED_BEFORE: dict[str, Kind] = {"write": "server"}


class Key(NamedTuple):
    """Who it is and what they may do."""

    name: str
    kind: Kind


def source_of(key: Key) -> Source:
    """The source whose key this is. Raises Refused for a key that posts no events."""
    match key.kind:
        case "read" | "admin":
            raise Refused("this key is valid, but posts no events", "wrong_kind", 403)
        case kind:
            return Source(key.name, kind)


class Credentials(NamedTuple):
    """What a fresh installation generated, as it stands in `credentials.json` (mode 0600) of the data folder."""

    secret: str
    write: str
    read: str
    admin: str


class Keys:
    """The keys this process accepts."""

    def __init__(self, keys: Iterable[tuple[Kind, str, str]]) -> None:
        self._known = {_digest(key): Key(name, kind) for kind, name, key in keys}

    def find(self, secret: str, kinds: Iterable[Kind]) -> Key | None:
        """The key, if it is known and of one of these kinds. Looked up by digest: nothing is compared byte by byte."""
        key = self._known.get(_digest(secret))
        return key if key is not None and key.kind in kinds else None


def load_keys(settings: Settings) -> tuple[Keys, bytes]:
    """The accepted keys and the installation's secret. Raises Refused where WAYMARK_KEYS is malformed."""
    given = list(_given(settings))
    if settings.secret is not None and given:
        return Keys(given), settings.secret.get_secret_value().encode()
    own = credentials(settings.data)
    generated = [("server", "default", own.write), ("read", "default", own.read), ("admin", "default", own.admin)]
    secret = settings.secret.get_secret_value() if settings.secret else own.secret
    return Keys([*given, *cast("list[tuple[Kind, str, str]]", generated)]), secret.encode()


def credentials(folder: Path) -> Credentials:
    """Read the data folder's credentials; the first time, draw them."""
    file = folder / "credentials.json"
    if not file.exists():
        private_folder(folder)
        drawn = Credentials(
            secrets.token_urlsafe(32), *(f"wm_{kind}_{secrets.token_urlsafe(32)}" for kind in _GENERATED)
        )
        _write(file, json.dumps(drawn._asdict(), indent=2))
    private_folder(folder)
    tighten(file)
    return Credentials(**json.loads(file.read_text("utf8")))


def _write(file: Path, text: str) -> None:
    """Whole or not at all, and readable by its owner only."""
    fresh = file.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf8") as handle:
        handle.write(text)
    fresh.replace(file)


def _given(settings: Settings) -> Iterable[tuple[Kind, str, str]]:
    text = settings.keys.get_secret_value() if settings.keys else ""
    for entry in filter(None, (part.strip() for part in text.split(","))):
        kind, _, rest = entry.partition(":")
        name, _, key = rest.partition(":")
        kind = _NAMED_BEFORE.get(kind, kind)
        if kind not in KINDS or not name or len(key) < 16:
            raise Refused(f"WAYMARK_KEYS: '{kind}:{name}:...' is not kind:name:key with kind {', '.join(KINDS)}")
        yield kind, name, key


def _digest(key: str) -> bytes:
    return sha256(key.encode()).digest()
