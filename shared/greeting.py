"""Greeting: what a mail calls a person and a company, made of whatever stands in the field "name".

Fields called "name" hold `SMITH, John`, `Dr.`, ids, roles and addresses. Where one names nobody, the mail says something neutral.
"""

import re
import unicodedata
from itertools import pairwise

from shared.names import company_name, person_name

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
