"""Webhook channel: a signed POST as Standard Webhooks say. The id is the same each time, so the receiver knows a repeat."""

from datetime import datetime

import httpx2
import msgspec
from standardwebhooks import Webhook as Signature

from services.notify.channels.channel import Channel, ConfirmSend, Delivery, Now, Receipt
from services.notify.core.channels import ChannelTraits, CrashOutcomes, anybody
from shared.egress import Egress, Forbidden, Unresolved
from shared.failures import Refused
from shared.networks import networks
from shared.settings import Settings

TYPE = "waymark.outreach"
_RETRY = {408, 425, 429}


class WebhookSender:
    """Posts to one URL. A repeat is harmless, so an attempt in doubt is retried."""

    def __init__(self, egress: Egress, url: str, secret: str, now: Now) -> None:
        self._egress = egress
        self._url = url
        self._signature = Signature(secret)
        self._now = now

    async def send(self, delivery: Delivery, confirm: ConfirmSend) -> Receipt:
        at = self._now()
        body = _body(delivery, at)
        await confirm()
        try:
            answer = await self._egress.post(self._url, body.encode(), self._headers(delivery.id, at, body))
        except Forbidden as error:
            return Receipt("refused", str(error))
        except Unresolved as error:
            return Receipt("retry", str(error), nobody=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            return Receipt("retry", type(error).__name__, nobody=True)
        except (TimeoutError, httpx2.HTTPError) as error:
            return Receipt("retry_idempotent", type(error).__name__)
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
    """The message for the product to show: no address, no HTML."""
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
        return Receipt("retry_idempotent", detail)
    return Receipt("retry" if status in _RETRY else "refused", detail)


def _build(settings: Settings, now: Now) -> WebhookSender:
    url, secret = settings.webhook_url or "", settings.webhook_secret
    try:
        egress = Egress(networks(settings.egress_allow))
        return WebhookSender(egress, url, secret.get_secret_value() if secret else "", now)
    except ValueError as error:
        raise Refused(f"WAYMARK_EGRESS_ALLOW or WAYMARK_WEBHOOK_SECRET: {error}") from None


WEBHOOK = Channel(
    ChannelTraits(
        name="webhook",
        reaches_customer=True,
        opens_task=False,
        quiet_hours=False,
        unsubscribe_footer=False,
        address_rule=anybody,
        crash_outcomes=CrashOutcomes(claimed="retry", data_sent="retry_idempotent"),
        spends_budget=False,
    ),
    settings=("webhook_url", "webhook_secret"),
    build=_build,
)
"""Shown in the product, where people are awake: no quiet hours, no unsubscribe link, and no contact that the budget counts."""
