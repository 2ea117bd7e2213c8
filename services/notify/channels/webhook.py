"""How is a webhook delivered? Signed as Standard Webhooks say; the same id each time, so the receiver can tell a repeat."""

from collections.abc import Callable
from datetime import datetime

import httpx2
import msgspec
from standardwebhooks import Webhook as Signature

from services.notify.channels.channel import Delivery, PointOfNoReturn, Receipt
from shared.egress import Egress, Forbidden

TYPE = "waymark.outreach"
_LATER = {408, 425, 429}


class Webhook:
    """Posts to one URL. A repeat is harmless, so what is in doubt is tried again."""

    def __init__(self, egress: Egress, url: str, secret: str, now: Callable[[], datetime]) -> None:
        self._egress = egress
        self._url = url
        self._signature = Signature(secret)
        self._now = now

    async def send(self, delivery: Delivery, before: PointOfNoReturn) -> Receipt:
        at = self._now()
        body = _body(delivery, at)
        await before()
        try:
            answer = await self._egress.post(self._url, body.encode(), self._headers(delivery.id, at, body))
        except Forbidden as error:
            return Receipt("refused", str(error))
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            return Receipt("later", type(error).__name__)
        except (TimeoutError, httpx2.HTTPError) as error:
            return Receipt("again", type(error).__name__)
        return _receipt(answer.status, delivery.id)

    def _headers(self, delivery: str, at: datetime, body: str) -> dict[str, str]:
        return {
            "content-type": "application/json",
            "user-agent": "Waymark",
            "webhook-id": delivery,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._signature.sign(delivery, at, body),
        }


def _body(delivery: Delivery, at: datetime) -> str:
    """What the product gets to show: no address, no HTML."""
    data = {
        "account": delivery.account,
        "user": delivery.user,
        "play": delivery.play,
        "step": delivery.step,
        "class": delivery.outreach_class,
        "title": delivery.subject,
        "text": delivery.text,
    }
    return msgspec.json.encode({"type": TYPE, "timestamp": at, "data": data}).decode()


def _receipt(status: int, reference: str) -> Receipt:
    if 200 <= status < 300:
        return Receipt("accepted", f"HTTP {status}", reference)
    detail = f"HTTP {status}, redirects are not followed" if 300 <= status < 400 else f"HTTP {status}"
    if status >= 500:
        return Receipt("again", detail)
    return Receipt("later" if status in _LATER else "refused", detail)
