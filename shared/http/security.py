"""Security headers: the policies of the pages that people see, and the middleware that gives every answer its headers.

The one place for them. A page names its policy; an answer that names none may load nothing, run nothing and be framed nowhere.
"""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SELF = "'self'"


def content_policy(**directives: str) -> str:
    """A Content-Security-Policy that forbids what is not named: `content_policy(style_src="'self'")`."""
    named = {"default-src": "'none'"} | {name.replace("_", "-"): sources for name, sources in directives.items()}
    besides = {name: "'none'" for name in ("base-uri", "form-action", "frame-ancestors") if name not in named}
    return "; ".join(f"{name} {sources}" for name, sources in (named | besides).items())


CONSOLE_POLICY = content_policy(style_src=_SELF, frame_src=_SELF, form_action=_SELF)
"""Pages of the console: no script at all."""
API_DOCS_POLICY = content_policy(script_src=_SELF, style_src=_SELF, img_src=f"{_SELF} data:", connect_src=_SELF)
"""OpenAPI pages: scripts and styles are files of our own origin; what one tries out is asked there too."""
FRAMED_MAIL_POLICY = "sandbox; " + content_policy(style_src="'unsafe-inline'", img_src="data:", frame_ancestors=_SELF)
"""A mail's HTML in a frame of the console: mails are styled inline. No script, nothing loaded, no way out."""


def hosted_page_headers(style: str, images: str = "") -> dict[str, str]:
    """The headers of a page with a signed link in its address: the address goes to nobody, the style is allowed by its hash.

    `images` is the one origin that pictures come from; empty: there are none.
    """
    digest = b64encode(sha256(style.encode()).digest()).decode()
    pictures = {"img_src": images} if images else {}
    return {
        "Content-Security-Policy": content_policy(style_src=f"'sha256-{digest}'", form_action=_SELF, **pictures),
        "Referrer-Policy": "no-referrer",
        **_EVERYWHERE,
    }


_EVERYWHERE: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
_DEFAULTS: Mapping[str, str] = {
    "Content-Security-Policy": content_policy(),
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    **_EVERYWHERE,
}


class SecurityHeaders:
    """ASGI middleware: each answer has these headers; one that it sets itself stays as it is."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str] | None = None) -> None:
        self._app = app
        self._headers = {**_DEFAULTS, **(headers or {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, content in self._headers.items():
                    headers.setdefault(name, content)
            await send(message)

        await self._app(scope, receive, with_headers)
