"""Did this request come from one of our own pages? What a form may do, a form on another site may not."""

from collections.abc import Mapping

_HOME = "/console/"


def ours(headers: Mapping[str, str], public: str) -> bool:
    """Whether a POST may count. Browsers send `Sec-Fetch-Site` over TLS and on loopback, `Origin` everywhere."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin", "").partition("://")[2]
    return bool(origin) and origin in {headers.get("host", ""), public.partition("://")[2]}


def inside(path: str) -> str:
    """The page of ours to go on to after signing in; the overview for anything else."""
    plain = path.isascii() and path.isprintable() and "\\" not in path
    return path if plain and path.startswith(_HOME) and len(path) < 1000 else _HOME
