"""Brand: who writes to customers, and how their mails and pages look (`config/brand.yaml`)."""

import re
from collections.abc import Iterator, Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import ClassVar, NamedTuple

import msgspec

from shared.definitions import At, DefinitionError, Loaded, Mistake, load
from shared.names import greeting_name, person_name
from shared.settings import Settings

BRAND_FILE = "brand.yaml"
HOUSE_FILE = Path("templates") / "house.yaml"
"""Where the names stood before there was a brand; read where there is no `brand.yaml`."""

_URL = re.compile(r"https?://[^\s<>\"]+")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_ADDRESS = re.compile(r"[!-;=?A-~]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_UNREAD = re.compile(r"(no|do-?not)[-_.]?reply", re.IGNORECASE)
_RIGHT_TO_LEFT = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ku", "ps", "sd", "syr", "ug", "ur", "yi"})
READABLE = 4.5
"""The contrast that WCAG asks of text."""
_COLOUR_STEPS = 20


class BrandLinks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pages that mails point to. A template reads each as `<name>_url`."""

    billing: str = ""
    """Where a failed payment is set right; `app_url` where it is not said."""
    people: str = ""
    """Where colleagues are invited and seats given away; `app_url` where it is not said."""
    plans: str = ""
    """Where the plan or the number of seats is changed; `app_url` where it is not said."""
    reviews: str = ""
    """Where customers write reviews. Without it nobody is asked for one."""
    case_study: str = ""
    """A customer's story to pass on. Without it nobody is told of one."""


class Csm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer-success manager, as customers know them."""

    name: str
    """The name in mails."""
    email: str
    """Where answers of their accounts go."""


class Brand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who writes, and how it looks: every mail and page for customers is made with it."""

    RENAMED: ClassVar[Mapping[str, str]] = {"product": "name"}

    name: str
    """The product's name; templates read it as `product`."""
    sender: str
    """Who signs."""
    app_url: str
    """The product's address."""
    address: str
    """The postal address that the law asks for in marketing mail."""
    logo: str = ""
    """Address of the logo, a PNG or JPEG that is at least twice as wide as shown; the name is written where there is none."""
    logo_width: int = 140
    """How wide the logo is shown, 40 to 400 pixels."""
    colour: str = "#2457d6"
    """Colour of buttons and links, `#rrggbb`. Where text in it could not be read it is made darker or lighter."""
    from_: str = msgspec.field(name="from", default="")
    """Sender of mail, `Name <name@host>`; WAYMARK_MAIL_FROM goes before it."""
    reply_to: str = ""
    """Where answers go unless the account's CSM has an address; the sender's where it is not said."""
    lang: str = "en"
    """Language of the texts, such as `en` or `pt-BR`; decides the direction of writing too."""
    links: BrandLinks = BrandLinks()
    """Pages that mails point to."""
    csms: dict[str, Csm] = {}
    """The CSMs by what the account trait `csm` says: answers to mails of an account go to its CSM."""

    @property
    def right_to_left(self) -> bool:
        """Whether the language is written from right to left."""
        return self.lang.partition("-")[0] in _RIGHT_TO_LEFT

    @property
    def names(self) -> dict[str, str]:
        """What templates may read of it. A link that is not said is not there, where `app_url` does not stand for it."""
        links = msgspec.structs.asdict(self.links)
        told = {f"{name}_url": url for name, url in links.items() if url}
        standing_in = dict.fromkeys(("billing_url", "people_url", "plans_url"), self.app_url)
        own = {"product": self.name, "sender": self.sender, "app_url": self.app_url, "address": self.address}
        return standing_in | told | own


OPTIONAL_LINKS = {"reviews_url": "reviews", "case_study_url": "case_study"}
"""Names that templates have only where the brand says the link, with its key under `links`."""


class HouseFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who writes, as said before there was a `brand.yaml`. Read only where that is not there."""

    product: str
    """The product's name; `name` in brand.yaml."""
    sender: str
    """Who signs."""
    app_url: str
    """The product's address."""
    address: str
    """The postal address that the law asks for in marketing mail."""


class Answering(NamedTuple):
    """Who answers for an account: a name where one is known, and the address where answers go, empty for the sender's."""

    name: str
    address: str


def load_brand(config: Path) -> Brand:
    """Read the brand of this folder. Raises DefinitionError with every mistake."""
    brand, house = config / BRAND_FILE, config / HOUSE_FILE
    if not house.exists():
        loaded = load(brand, Brand)
        if mistakes := [*_mistakes(loaded)]:
            raise DefinitionError(mistakes)
        return loaded.value
    if brand.exists():
        moved = (
            f"who writes is said in {BRAND_FILE} now ('product' is 'name' there): move what is yours, delete this file"
        )
        raise DefinitionError([Mistake(str(house), 1, moved)])
    old = load(house, HouseFile).value
    return Brand(name=old.product, sender=old.sender, app_url=old.app_url, address=old.address)


def with_sender(settings: Settings, brand: Brand) -> Settings:
    """The settings with the brand's sender, unless they name one themselves."""
    if not brand.from_ or "mail_from" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"mail_from": brand.from_})


def answering(brand: Brand, csm: str, csm_email: str, mail_from: str) -> Answering:
    """Who answers for an account whose traits name this CSM.

    An account's traits may be anybody's word: an address counts that is listed under `csms`, or is of the domain that
    we write from.
    """
    listed = {key.casefold(): one for key, one in brand.csms.items()}.get(csm.strip().casefold())
    if listed:
        return Answering(listed.name, listed.email)
    ours = {_domain(brand.reply_to), _domain(mail_from)} - {""}
    own = next(
        (one for one in (csm_email.strip(), csm.strip()) if _ADDRESS.fullmatch(one) and _domain(one) in ours), ""
    )
    name = person_name(csm) if greeting_name(csm) else None
    return Answering(name or "", own or _bare(brand.reply_to))


def is_unread(address: str) -> bool:
    """Whether the address says itself that nobody reads it: `no-reply@`, `donotreply@`."""
    return bool(_UNREAD.search(_bare(address).rpartition("@")[0]))


def _bare(address: str) -> str:
    return parseaddr(address)[1]


def _domain(address: str) -> str:
    return _bare(address).rpartition("@")[2].casefold()


def _mistakes(loaded: Loaded[Brand]) -> Iterator[Mistake]:
    brand = loaded.value
    for key in ("name", "sender", "address"):
        if not getattr(brand, key).strip():
            yield loaded.mistake((key,), f"'{key}' is empty: every mail says it")
    yield from _url_mistakes(loaded)
    if not _COLOUR.fullmatch(brand.colour):
        yield loaded.mistake(("colour",), f"'{brand.colour}' is no colour: write it as '#2457d6', in quotes")
    if not 40 <= brand.logo_width <= 400:
        yield loaded.mistake(("logo_width",), "from 40 to 400 pixels")
    if not _LANGUAGE.fullmatch(brand.lang):
        yield loaded.mistake(("lang",), f"'{brand.lang}' is no language: write it as 'en' or 'pt-BR'")
    yield from _address_mistakes(loaded)


def _url_mistakes(loaded: Loaded[Brand]) -> Iterator[Mistake]:
    brand = loaded.value
    if not _URL.fullmatch(brand.app_url):
        yield loaded.mistake(("app_url",), f"'{brand.app_url}' is no address of a page: it begins with https://")
    if brand.logo and not (_URL.fullmatch(brand.logo) and brand.logo.startswith("https://")):
        yield loaded.mistake(("logo",), "an address that begins with https://: mail programs load no other picture")
    for name, url in msgspec.structs.asdict(brand.links).items():
        if url and not _URL.fullmatch(url):
            yield loaded.mistake(("links", name), f"'{url}' is no address of a page: it begins with https://")


def _address_mistakes(loaded: Loaded[Brand]) -> Iterator[Mistake]:
    brand = loaded.value
    places: list[tuple[At, str]] = [(("from",), brand.from_), (("reply_to",), brand.reply_to)]
    places += [(("csms", key, "email"), csm.email) for key, csm in brand.csms.items()]
    for at, address in places:
        if address and not _ADDRESS.fullmatch(_bare(address)):
            yield loaded.mistake(at, f"'{address}' is no mail address")
        elif at[0] != "from" and is_unread(address):
            yield loaded.mistake(at, "our mails say 'answer this mail': answers need an address that somebody reads")


def contrast(one: str, other: str) -> float:
    """The contrast of two colours `#rrggbb` as WCAG measures it, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def readable(colour: str, page: str) -> str:
    """The colour, moved away from the page's until text in it can be read there."""
    towards = 0 if _luminance(page) > 0.5 else 255
    channels = _channels(colour)
    moved = (
        "#" + "".join(f"{round(value + (towards - value) * step / _COLOUR_STEPS):02x}" for value in channels)
        for step in range(_COLOUR_STEPS + 1)
    )
    return next((one for one in moved if contrast(one, page) >= READABLE), "#000000" if towards == 0 else "#ffffff")


def text_on(colour: str) -> str:
    """Nearly black or white: what is easier to read on this colour."""
    return max("#ffffff", "#101418", key=lambda on: contrast(on, colour))


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    shares = (value / 255 for value in _channels(colour))
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
