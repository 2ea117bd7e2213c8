"""API keys, 32 random bytes stored as SHA-256, and the secret of the installation.

Keys of WAYMARK_KEYS and of `credentials.json` hold as long as they stand there; others are issued, rotated and revoked while
processes run (`shared.access`). Kinds: `browser`, `server` and `import` post usage events (a browser's key is public by nature), `read` queries, `admin` changes
things. `write`, in WAYMARK_KEYS and in `credentials.json`, means `server`.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

from shared.contracts.usage import Source, SourceKind, Times
from shared.failures import Refused
from shared.files import private_folder, tighten
from shared.settings import Settings

Kind = SourceKind | Literal["read", "admin"]
SOURCE_KINDS: tuple[SourceKind, ...] = get_args(SourceKind)
"""The kinds whose keys post usage events."""
KINDS: tuple[Kind, ...] = (*SOURCE_KINDS, "read", "admin")
_GENERATED = ("write", "read", "admin")
_NAMED_BEFORE: dict[str, Kind] = {"write": "server"}


class Rates(NamedTuple):
    """What one source may send; of new accounts and contacts, those that nobody named before. None: as the settings say; 0: no limit."""

    events_per_minute: int | None = None
    bytes_per_minute: int | None = None
    accounts_per_hour: int | None = None
    contacts_per_hour: int | None = None


class Acting(NamedTuple):
    """A person at the console, for whom it asks: their session's id, and the address they came from."""

    session_id: str
    address: str


class Key(NamedTuple):
    """Who it is and what they may do. `id` is public. `origins` are those that browsers may use it from; none: any.

    `acting` is set where the console asks in a session that was started with this key.
    """

    name: str
    kind: Kind
    id: str = ""
    origins: tuple[str, ...] = ()
    rates: Rates = Rates()
    acting: Acting | None = None
    times: Times = Times()

    def admits(self, origin: str) -> bool:
        """Whether a page of this origin (`https://app.example.com`) may use it; `https://*.example.com` names all below."""
        if not self.origins:
            return True
        origin = origin.lower()
        return origin in self.origins or any(_below(origin, one) for one in self.origins)


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
    """The keys this process accepts: those of the settings, and those issued, as far as it knows."""

    def __init__(self, keys: Iterable[tuple[Kind, str, str]]) -> None:
        self._of_settings = {digest(key): Key(name, kind, f"settings:{kind}:{name}") for kind, name, key in keys}
        self._known = dict(self._of_settings)
        self._by_id = {key.id: key for key in self._known.values()}
        self._delegated: Callable[[str], Key | None] = lambda _token: None
        self._used: set[str] = set()

    def find(self, secret: str, kinds: Iterable[Kind]) -> Key | None:
        """The key, if it is known and of one of these kinds. Looked up by digest: nothing is compared byte by byte."""
        key = self._known.get(digest(secret)) or self._delegated(secret)
        if key is None or key.kind not in kinds:
            return None
        self._used.add(key.id)
        return key

    def is_live(self, key_id: str) -> bool:
        """Whether the key of this id is accepted now."""
        return key_id in self._by_id

    def of_id(self, key_id: str) -> Key | None:
        """The key of this id, if it is accepted now."""
        return self._by_id.get(key_id)

    def digests_of(self, key_id: str) -> list[bytes]:
        """What is kept of the texts of this key: of one in the settings there may be two."""
        return [sha for sha, key in self._known.items() if key.id == key_id]

    def accept_delegated(self, key_of_token: Callable[[str], Key | None]) -> None:
        """Accept also what this takes for a token of a key: by it the console asks on behalf of a session."""
        self._delegated = key_of_token

    def admits(self, origin: str) -> bool:
        """Whether any key that posts events may be used from this origin: a preflight does not say which one will be."""
        return any(key.admits(origin) for key in self._known.values() if key.kind in SOURCE_KINDS)

    @property
    def of_settings(self) -> list[Key]:
        """The keys of WAYMARK_KEYS and `credentials.json`."""
        return list(self._of_settings.values())

    def replace_issued(self, issued: Mapping[bytes, Key]) -> None:
        """Accept these issued keys (SHA-256 -> key) from now on, and no others."""
        known = {**issued, **self._of_settings}
        self._known, self._by_id = known, {key.id: key for key in known.values()}

    def take_used(self) -> set[str]:
        """The ids of the keys that were used since this was last asked."""
        used, self._used = self._used, set()
        return used


def load_keys(settings: Settings) -> tuple[Keys, bytes]:
    """The accepted keys and the installation's secret. Raises Refused where WAYMARK_KEYS is malformed."""
    given = list(_given(settings))
    if settings.secret is not None and given:
        return Keys(given), settings.secret.get_secret_value().encode()
    own = credentials(settings.data)
    generated = [("server", "default", own.write), ("read", "default", own.read), ("admin", "default", own.admin)]
    secret = settings.secret.get_secret_value() if settings.secret else own.secret
    return Keys([*given, *cast("list[tuple[Kind, str, str]]", generated)]), secret.encode()


def own_key(settings: Settings, *kinds: Kind) -> str:
    """The text of a key of this installation, of one of these kinds: from WAYMARK_KEYS, else a generated one.

    Raises Refused where it has none.
    """
    given = [text for kind, _, text in _given(settings) if kind in kinds]
    if given:
        return given[0]
    if generates_keys(settings):
        generated = {"server": "write", "read": "read", "admin": "admin"}
        for kind in kinds:
            if kind in generated:
                return str(getattr(credentials(settings.data), generated[kind]))
    raise Refused(f"WAYMARK_KEYS has no key of kind {' or '.join(kinds)}: give one with --key")


def generates_keys(settings: Settings) -> bool:
    """Whether the keys of `credentials.json` are accepted: not where both keys and secret are in the settings."""
    return settings.secret is None or not _entries(settings)


def names_given_as_write(settings: Settings) -> list[str]:
    """The names of the keys of kind `write`, which means `server`: whoever reads that word may think of a public key."""
    given = [entry.split(":")[:2] for entry in _entries(settings)]
    generated = ["default"] if generates_keys(settings) else []
    return [name for kind, name in given if kind == "write"] + generated


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
    try:
        return Credentials(**json.loads(file.read_text("utf8")))
    except (ValueError, TypeError):
        what = (
            "put back the one of your backup: links in mails that were sent, and who refused mail, hang on its secret"
        )
        raise Refused(f"{file} is damaged: {what}. Remove it to draw everything anew") from None


def _write(file: Path, text: str) -> None:
    """Whole or not at all, and readable by its owner only."""
    fresh = file.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf8") as handle:
        handle.write(text)
    fresh.replace(file)


def _given(settings: Settings) -> Iterable[tuple[Kind, str, str]]:
    for entry in _entries(settings):
        kind, _, rest = entry.partition(":")
        name, _, key = rest.partition(":")
        kind = _NAMED_BEFORE.get(kind, kind)
        if kind not in KINDS or not name or len(key) < 16:
            raise Refused(f"WAYMARK_KEYS: '{kind}:{name}:...' is not kind:name:key with kind {', '.join(KINDS)}")
        yield kind, name, key


def _entries(settings: Settings) -> list[str]:
    text = settings.keys.get_secret_value() if settings.keys else ""
    return [part.strip() for part in text.split(",") if part.strip()]


def digest(key: str) -> bytes:
    """What is kept of a key: it has 32 random bytes, so nobody finds it by trying."""
    return sha256(key.encode()).digest()


def _below(origin: str, pattern: str) -> bool:
    scheme, wildcard, domain = pattern.partition("*.")
    return bool(wildcard) and origin.startswith(scheme) and origin.endswith(f".{domain}")
