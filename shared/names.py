"""Names and texts that customers chose, cleaned for mail, webhooks and pages: no link, no domain, nothing invisible.

Mail programs make links of everything that looks like a domain, so a stranger who calls a company `free-money.example` would
have us advertise it. What cannot be cleaned is None: the caller says something neutral instead.
"""

import re
import unicodedata

MAX_PERSON = 60
MAX_COMPANY = 80
MAX_TEXT = 300
_TOO_LONG = 4 * MAX_TEXT
"""Whatever is hidden in it, so much is no name."""

_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0e\uffa0]")
"""Characters that show nothing although Unicode calls them letters, signs or marks."""
_JOINERS = "\u200c\u200d\ufe0f"
"""Persian words and composed emoji need them; beside an ASCII letter or a full stop they only hide something."""
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_DOT_LIKE = "\u3002\u06d4\u0701\u0702\ua60e\U00010a50\uff0e\uff61\u2024\ufe52"
_DOTS = str.maketrans(dict.fromkeys(_DOT_LIKE, "."))
"""What a browser (IDNA) or an eye takes for a full stop."""
_LABEL = r"[^\s\x00-\x2c./:-@\[-`{-\x7f]"
"""A character of a domain's label: a letter, a digit, a hyphen, and anything that is not ASCII."""
_TOP = rf"(?![0-9]){_LABEL}{{2,}}"
_ABBREVIATED = re.compile(r"(?<![\w.-])((?:[^\W\d_]{1,3}\.)+)(?=[^\W\d_]{2})")
"""`Dr.Oetker`, `St.Gallen`, `Co.KG`: short and followed by a capital (checked apart) it is an abbreviation."""
_DOMAIN = re.compile(rf"({_LABEL}+)\.({_TOP})(?![.\w-])\.?")
_ANY_DOMAIN = re.compile(rf"{_LABEL}\.{_TOP}")
_LINK = re.compile(
    r"://|:\\\\|\\\\|//|\bwww\d?\b\.|\b(?:https?|ftp|mailto|tel|sms|javascript|data|whatsapp)\s?:"
    r"|\S@\S|xn--|=\?|\d{1,3}(?:\.\d{1,3}){3}|\S\.\S+[/?#:]\S",
    re.IGNORECASE,
)
"""Schemes, addresses, punycode, encoded words (a header decodes them), IPv4, and a dotted token with a path or a port."""


def person_name(text: object) -> str | None:
    """A person's name as a mail may say it: `Dr. No`, `O'Neil`. None for a name that is empty, too long, or a link."""
    name = visible(text)
    return None if name is None or len(name) > MAX_PERSON or _carries_link(name) else name


def company_name(text: object) -> str | None:
    """A company's name. One that is called like its domain keeps its first half: `Booking.com` is `Booking`."""
    return _named(text, MAX_COMPANY)


def plain_text(text: object) -> str | None:
    """Any other text of a customer's, such as a trait: cleaned as a company's name is, and up to 300 characters."""
    return _named(text, MAX_TEXT)


def visible(text: object) -> str | None:
    """One line of what can be seen: no control, bidirectional, zero-width or unassigned characters. None where nothing is left."""
    if not isinstance(text, str) or len(text) > _TOO_LONG:
        return None
    shown = _INVISIBLE.sub("", _SPACES.sub(" ", text))
    shown = "".join(sign for sign in shown if sign in _JOINERS or unicodedata.category(sign) not in _HIDDEN)
    line = _spaced(" ".join(_joined(shown).split()))
    return line if any(unicodedata.category(sign)[0] in "LNS" for sign in line) else None


def _joined(line: str) -> str:
    """Without the joiners that join nothing, or stand beside ASCII or a full stop."""
    kept: list[str] = []
    for index, sign in enumerate(line):
        if sign in _JOINERS:
            after = line[index + 1 :].lstrip(_JOINERS)[:1]
            if not kept or kept[-1] == " " or any(map(_hides, (kept[-1], after))):
                continue
        kept.append(sign)
    return "".join(kept)


def _hides(neighbour: str) -> bool:
    return neighbour > " " and (neighbour.isascii() or neighbour in _DOT_LIKE)


def _spaced(line: str) -> str:
    """With a space after an abbreviation that is followed by a capital: nobody takes `Dr. Oetker` for a domain."""

    def spaced(found: re.Match[str]) -> str:
        following = line[found.end() : found.end() + 1]
        return f"{found[1]} " if following.isupper() else found[1]

    return _ABBREVIATED.sub(spaced, line)


def _named(text: object, most: int) -> str | None:
    name = visible(text)
    if name is None or len(name) > most or _LINK.search(_folded(name)):
        return None
    name = visible(_DOMAIN.sub(_first_label, name))
    return None if name is None or _carries_link(name) else name


def _first_label(found: re.Match[str]) -> str:
    """The label before the top-level domain. One that has subdomains stays as it is, and is found to be a link."""
    before = found.string[: found.start()]
    return found[0] if before.endswith(".") else found[1]


def _carries_link(name: str) -> bool:
    folded = _folded(name)
    return bool(_LINK.search(folded) or _ANY_DOMAIN.search(folded))


def _folded(name: str) -> str:
    """As a mail program or a browser may read it: full-width letters and dots are letters and dots."""
    return unicodedata.normalize("NFKC", name).translate(_DOTS)
