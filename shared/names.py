"""Names and texts that customers chose, cleaned for mail, webhooks and pages, and the greeting that is made of a name.

Mail programs make links of everything that looks like a domain, so a stranger who calls a company `free-money.example` would
have us advertise it: what is cleaned holds no link, no domain, nothing invisible. Fields called "name" hold `SMITH, John`, `Dr.`,
ids, roles and addresses. What cannot be cleaned, or names nobody, is None: the caller says something neutral instead.
"""

import re
import unicodedata
from itertools import pairwise

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
_MAX_GREETING = 40

_ASIDE = re.compile(r"\([^)]*\)|\[[^\]]*\]|\s[-|/\u2013\u2014]\s.*")
"""What interrupts or follows a name: `Robert (Bob) Roe`, `Ann | Acme`, `Ann - Sales`."""
_EDGES = "\"'`<>*~!?;:,()[]{}+=#&-\u00b4\u2018\u2019\u201c\u201d\u201e\u2026\u00ab\u00bb\u2013\u2014"
_HONORIFICS = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "miss",
        "mx",
        "dr",
        "doctor",
        "prof",
        "professor",
        "sir",
        "dame",
        "lord",
        "lady",
        "rev",
        "herr",
        "frau",
        "hr",
        "dipl",
        "dott",
        "sig",
        "sra",
        "srta",
        "señor",
        "señora",
        "mme",
        "mlle",
        "madame",
        "monsieur",
        "dra",
        "capt",
        "lt",
        "sgt",
        "eng",
    ]
)
_ONLY_DOTTED = frozenset(["fr", "hon", "mag", "ing", "pr", "me", "m", "gen", "col", "maj", "sr", "st"])
"""Honorifics only with a full stop: without it they are names."""
_AFTER_NAMES = frozenset(
    [
        "phd",
        "ph.d",
        "md",
        "m.d",
        "dr",
        "jr",
        "sr",
        "ii",
        "iii",
        "iv",
        "esq",
        "mba",
        "cpa",
        "msc",
        "bsc",
        "ma",
        "ba",
        "dds",
        "mph",
        "llm",
        "jd",
        "cfa",
        "pmp",
        "inc",
        "llc",
        "ltd",
        "gmbh",
    ]
)
"""What stands behind a comma and is no given name."""
_NOBODY = frozenset(
    ["admin", "administrator", "user", "users", "test", "tester", "testing", "unknown", "null", "none", "undefined", "anonymous", "guest", "customer", "support", "team", "sales", "billing", "office", "accounts", "accounting", "account", "contact", "info", "root", "owner", "service", "services", "system", "webmaster", "postmaster", "hello", "help", "marketing", "finance", "name", "firstname", "lastname", "nobody", "n/a"]
) | {"new user", "first name", "last name", "first last", "full name", "your name", "test user", "demo user"}  # fmt: skip
_NO_COMPANY = frozenset(
    ["null", "none", "nil", "undefined", "unknown", "nan", "na", "n/a", "tbd", "test", "testing", "demo", "default", "untitled", "company", "company name", "my company", "your company", "new company", "organization", "organisation", "my organization", "my organisation", "workspace", "my workspace", "personal", "personal workspace", "team", "my team", "account", "my account", "name", "other", "self", "me", "individual", "freelancer"]
)  # fmt: skip
"""What stands in the field where nobody wrote a name."""
_FILLED_BY_NOBODY = re.compile(r"[{}<>]|\*\||\|\*|%%|\$\(")
"""Marks of a form or a template that was not filled in, or of a page's source."""
_IN_GREETINGS = frozenset(" .'-\u2019\u00b7\u2010\u200c\u200d")
_INITIALS = re.compile(r"(?:[^\W\d_]\.?)(?:[^\W\d_]\.)*|(?:[^\W\d_]\.)+")
_PARTICLES = frozenset(
    [
        "van",
        "von",
        "der",
        "den",
        "de",
        "del",
        "della",
        "di",
        "da",
        "dos",
        "la",
        "le",
        "el",
        "al",
        "bin",
        "ibn",
        "ter",
        "ten",
        "zu",
    ]
)
"""What a surname begins with, in small letters: then there is no given name before it."""
_IDEOGRAPHIC = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
"""Scripts that put the family name first: the whole name is the polite one."""
_LETTERS = re.compile(r"[^\W\d_]+")
_VOWELS = frozenset("aeiouyæøœ")
_HEX = re.compile(r"[0-9a-f]{8,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SPOKEN = re.compile(r"[^\W\d_]+(?:[ &.'-]{1,3}[^\W\d_]+)*\.?")


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


def greeting_name(text: object) -> str | None:
    """What to call a person after "Hello": the given name, or honorific and surname where only those are known.

    `JOHN SMITH` is John, `SMITH, John` too, `Dr. Jane Roe` is Jane, `Dr. Roe` stays Dr. Roe. None for what names nobody:
    an id, an address, a role (`Admin`), a lone honorific, punctuation.
    """
    name = person_name(text)
    if name is None or any(sign.isdigit() or sign in "_|" for sign in name.replace(" | ", " ")):
        return None
    plain = _ASIDE.sub(" ", name)
    words = _given_first(plain)
    if not words or {" ".join(words).casefold(), plain.strip().casefold()} & _NOBODY:
        return None
    called = " ".join(words) if _IDEOGRAPHIC.search(plain) else _called(words)
    called = _cased(called, plain)
    return called if _is_spoken(called) and len(called) <= _MAX_GREETING and not _drawn(called) else None


def _is_spoken(called: str) -> bool:
    """Whether it is letters, and what stands between the letters of names."""
    others = (sign for sign in called if sign not in _IN_GREETINGS and unicodedata.category(sign)[0] not in "LM")
    return any(sign.isalpha() for sign in called) and not any(others)


def customer_name(text: object, account: str) -> str | None:
    """What to call a company in a message to it: its name, or its id where that is a word (`acme`). None for an id."""
    if text:
        name = company_name(text)
        return None if name is None or looks_like_id(name) or not _names_company(name) else name.rstrip(" ,;:")
    name = company_name(account)
    if name is None or not _SPOKEN.fullmatch(name) or _HEX.fullmatch(name):
        return None
    return None if any(_drawn(word) for word in _LETTERS.findall(name)) else name


def _names_company(name: str) -> bool:
    """Whether somebody wrote a name there: not `null`, `My Company`, `{{ company }}`, nor signs alone."""
    plain = name.casefold().strip(" .,;:-_\"'()[]")
    return plain not in _NO_COMPANY and not _FILLED_BY_NOBODY.search(name) and any(sign.isalnum() for sign in plain)


def looks_like_id(name: str) -> bool:
    """Whether a program drew this name: `s3-8f3k2`, a UUID, `org_2Nf8`. `3M`, `Studio54` and `7-Eleven` are names."""
    if " " in name or not any(sign.isdigit() for sign in name):
        return False
    signs = [sign for sign in name if sign.isalnum()]
    switches = sum(one.isdigit() != other.isdigit() for one, other in pairwise(signs))
    return "_" in name or switches >= 3 or name.isdigit() or bool(_HEX.fullmatch(name))


def _given_first(name: str) -> list[str]:
    """The words of a name, the given ones first: `Roe, Jane, PhD` is `Jane Roe`."""
    parts = [words for part in name.split(",") if (words := _words(part))]
    while len(parts) > 1 and all(_bare(word) in _AFTER_NAMES for word in parts[-1]):
        parts.pop()
    if len(parts) > 1:
        parts = [parts[1], parts[0]]
    return [word for part in parts for word in part]


def _words(part: str) -> list[str]:
    drawn = (sign for sign in part if unicodedata.category(sign) == "So")  # emoji
    bare = part.translate(dict.fromkeys(map(ord, drawn), " "))
    stripped = (word.strip(_EDGES) for word in bare.replace("/", " ").split())
    return [word for word in stripped if _LETTERS.search(word)]


def _bare(word: str) -> str:
    return word.casefold().rstrip(".")


def _is_honorific(word: str) -> bool:
    return _bare(word) in _HONORIFICS or (word.endswith(".") and _bare(word) in _ONLY_DOTTED)


def _called(words: list[str]) -> str:
    titles = 0
    while titles < len(words) and _is_honorific(words[titles]):
        titles += 1
    honorifics, rest = words[:titles], words[titles:]
    while len(rest) > 1 and _bare(rest[-1]) in _AFTER_NAMES:
        rest = rest[:-1]
    initials = 0
    while initials < len(rest) and _INITIALS.fullmatch(rest[initials]):
        initials += 1
    if initials == len(rest):
        return ""
    if rest[0] in _PARTICLES:
        return " ".join([*honorifics, *rest])
    if len(rest) - initials == 1:  # the one full word: a surname where something stands before it
        before = honorifics or rest[:initials]
        return " ".join([*before, rest[-1].rstrip(".")])
    return rest[initials].rstrip(".")


def _cased(called: str, name: str) -> str:
    """In ordinary capitals where the name is all in capitals, or has none."""
    letters = "".join(_LETTERS.findall(name))
    if letters.upper() == letters.lower() or (letters == letters.upper() and len(letters) <= 2):
        return called
    if letters not in {letters.upper(), letters.lower()}:
        return called
    return _LETTERS.sub(lambda found: found[0][0].title() + found[0][1:].lower(), called)


def _drawn(word: str) -> bool:
    """Whether a program drew these letters: none of them can be spoken, or capitals stand all over them."""
    letters = unicodedata.normalize("NFD", word)
    capitals = sum(one.islower() and other.isupper() for one, other in pairwise(letters))
    latin = [sign for sign in letters.lower() if "a" <= sign <= "z" or sign in _VOWELS]
    spoken = any(sign in _VOWELS for sign in latin)
    return capitals >= 3 or (len(latin) >= 5 and len(latin) >= len(_LETTERS.sub("", word)) and not spoken)
