"""Which write key does a request present? SDKs put it in four places; this is the order in which they mean it."""

import base64


def presented(authorization: str, query: str, body: str) -> str:
    """Basic user name, `?writeKey=`, `writeKey` in the body, and last Bearer, which may be an OAuth token beside them."""
    scheme, _, token = authorization.partition(" ")
    kind = scheme.lower()
    basic = _user_name(token.strip()) if kind == "basic" else ""
    bearer = token.strip() if kind == "bearer" else ""
    return basic or query or body or bearer


def _user_name(token: str) -> str:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), validate=True).decode().partition(":")[0]
    except ValueError:
        return ""
