"""Person: who is behind an address, over all accounts and user ids: the keys they are known by, and what was spent on them."""

import hmac
import re
import unicodedata
from collections.abc import Iterable
from email.utils import parseaddr
from hashlib import sha256

from services.notify.core.state import BudgetEntry

_PURPOSE = b"waymark person"
_UNSEEN = frozenset({"Cc", "Cf", "Cs"})
_NO_MAILBOX = re.compile(r"[\s\x00-\x1f\x7f<>,;]")
"""Two addresses in one, or words around it: nobody reads mail there."""
_DOTLESS = frozenset({"gmail.com", "googlemail.com"})
"""One provider, to whom dots mean nothing."""


class PersonKeys:
    """Keyed hashes under which persons are stored: who has only the database cannot try addresses against them."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, _PURPOSE, sha256)

    @property
    def fingerprint(self) -> str:
        """Names the secret without telling anything of it."""
        return self._hash("fingerprint", "")

    def of_address(self, address: str | None) -> str | None:
        """The key of this address, with its tag: a mailbox that does not take it is dead for it alone. None for what is no address."""
        normal = normalised_address(address)
        return None if normal is None else self._hash("address", normal)

    def of_mailbox(self, address: str | None) -> str | None:
        """The key of whoever reads mail at this address, whatever its tag; None for what is no address."""
        mailbox = mailbox_of(address)
        return None if mailbox is None else self._hash("address", mailbox)

    def of_user(self, user: str) -> str:
        """The key of a user id, for refusals of a person whose address is not known, or changes."""
        return self._hash("user", user)

    def of(self, address: str | None, user: str | None) -> list[str]:
        """Every key of a recipient, each once."""
        keys = (self.of_address(address), self.of_mailbox(address), self.of_user(user) if user else None)
        return [*dict.fromkeys(key for key in keys if key is not None)]

    def _hash(self, kind: str, value: str) -> str:
        return f"{kind[0]}{hmac.digest(self._key, f'{kind} {value}'.encode(), sha256).hex()[:40]}"


def normalised_address(address: str | None) -> str | None:
    """The address as mailboxes are compared: lower case, no blanks around it, the domain in its ASCII form.

    Also out of `Ann Lee <ann@acme.test>`, and without what nobody sees (a byte order mark out of a list). Tags and dots stay
    (`mailbox_of` is without). None for what is no address.
    """
    text = address or ""
    if not text.isascii():
        text = unicodedata.normalize(
            "NFKC", "".join(sign for sign in text if unicodedata.category(sign) not in _UNSEEN)
        )
    if "<" in text:
        text = parseaddr(text)[1]
    local, at, domain = text.strip().lower().rpartition("@")
    domain = domain.rstrip(".")
    if not local or not at or not domain or _NO_MAILBOX.search(local + domain):
        return None
    return f"{local}@{_ascii_domain(domain)}"


def mailbox_of(address: str | None) -> str | None:
    """The address of the mailbox behind an address: `ann+news@` is read where `ann@` is, and at Gmail `a.n.n@` too."""
    local, at, domain = (normalised_address(address) or "").rpartition("@")
    if not at:
        return None
    local = local.partition("+")[0] or local
    if domain in _DOTLESS:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


def spend(spent: Iterable[BudgetEntry], entry: BudgetEntry) -> list[BudgetEntry]:
    """The contacts with this one, which replaces what was said of its delivery before."""
    return [*unspend(spent, entry.delivery), entry]


def unspend(spent: Iterable[BudgetEntry], delivery: str) -> list[BudgetEntry]:
    """The contacts without that delivery: it never went out."""
    return [past for past in spent if past.delivery != delivery]


def _ascii_domain(domain: str) -> str:
    try:
        return domain.encode("idna").decode()
    except UnicodeError:  # no domain that exists; spelled alike it is still the same
        return domain
