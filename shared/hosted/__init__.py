"""Hosted pages: what every page that a customer sees has in common: the brand's name, logo and colour, and the headers.

A service has templates of its own that extend `base.html`, and renders them with `brand`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shared.brand import Brand, readable, text_on
from shared.http.security import hosted_page_headers

_HERE = Path(__file__).parent
_STYLE = (_HERE / "style.css").read_text("utf8")
_LIGHT_CARD, _DARK_CARD = "#ffffff", "#1b2129"
LOOKING = ["GET", "HEAD"]
"""The methods that only look: mail scanners and checkers of links ask for the head alone."""
_ORIGIN = re.compile(r"https://[A-Za-z0-9.-]+(:\d+)?")


class HostedBrand(NamedTuple):
    """The company on its pages. `logo` is empty where there is none; `headers` allow the style, the logo, and nothing else."""

    name: str
    style: str
    headers: Mapping[str, str]
    logo: str = ""
    logo_width: int = 0


def hosted_brand(brand: Brand) -> HostedBrand:
    """The brand as pages show it."""
    style = _STYLE + _colours(brand.colour)
    origin = _origin(brand.logo)
    headers = {"Content-Type": "text/html; charset=utf-8", **hosted_page_headers(style, images=origin)}
    return HostedBrand(brand.name, style, headers, brand.logo if origin else "", brand.logo_width)


def page_templates(folder: Path) -> Environment:
    """The templates of a service's pages, beside those of all."""
    return Environment(
        loader=FileSystemLoader([folder, _HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _colours(colour: str) -> str:
    """Links and marks in the brand's colour, as far as it can be read on the page; buttons in it as it is, as in mails."""
    light, dark = readable(colour, _LIGHT_CARD), readable(colour, _DARK_CARD)
    button = f"--button:{colour};--on-button:{text_on(colour)}"
    return f":root{{--accent:{light};{button}}}\n@media (prefers-color-scheme:dark){{:root{{--accent:{dark}}}}}\n"


def _origin(logo: str) -> str:
    """Where the logo is fetched from; empty where that cannot stand in a policy."""
    parts = urlsplit(logo)
    origin = f"{parts.scheme}://{parts.netloc}"
    return origin if _ORIGIN.fullmatch(origin) else ""
