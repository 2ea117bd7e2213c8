"""How is a mail sent? One SMTP conversation a delivery, and a moment in it after which nobody knows.

Refused before the data: nothing was accepted. Lost after it began: perhaps it was. See docs/decisions/notify-smtp.md.
"""

from collections.abc import Callable
from datetime import datetime

from aiosmtplib import (
    SMTP,
    SMTPConnectError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from services.notify.channels.channel import Delivery, PointOfNoReturn, Receipt
from services.notify.channels.mail import Unwritable, message, sender

Connect = Callable[[], SMTP]
"""A fresh client, not yet connected: host, TLS and credentials are the shell's."""

_TRANSIENT = range(400, 500)
_NO = range(400, 600)
_GOODBYE = 2.0


class Email:
    """Sends by SMTP. `now` stamps the Date header."""

    def __init__(self, connect: Connect, mail_from: str, now: Callable[[], datetime]) -> None:
        self._connect = connect
        self._from = sender(mail_from)
        self._now = now

    async def send(self, delivery: Delivery, before: PointOfNoReturn) -> Receipt:
        try:
            mail = message(delivery, self._from, self._now())
        except (Unwritable, ValueError) as error:
            return Receipt("refused", str(error))
        client = self._connect()
        try:
            await client.connect()
            await client.mail(self._from.addr_spec)
            await client.rcpt(delivery.email or "")
        except (SMTPException, OSError) as error:
            client.close()
            return _not_accepted(error)
        except BaseException:
            client.close()
            raise
        try:
            await before()
            receipt = await _data(client, mail.as_bytes(), str(mail["Message-ID"]))
        except BaseException:  # cut off, or not ours any more: a goodbye would wait for a server that may hang
            client.close()
            raise
        await _goodbye(client)
        return receipt


async def _data(client: SMTP, content: bytes, reference: str) -> Receipt:
    try:
        answer = await client.data(content)
    except SMTPException as error:
        if isinstance(error, SMTPResponseException) and error.code in _NO:
            return _not_accepted(error)
        return Receipt("unknown", f"the conversation broke off: {type(error).__name__}", reference)
    return Receipt("accepted", answer.message[:200], reference)


def _not_accepted(error: SMTPException | OSError) -> Receipt:
    """The server said no, or never answered: a 4yz and a lost connection may go better another time."""
    if isinstance(error, SMTPResponseException):
        detail = f"{error.code} {error.message}"[:200]
        return Receipt("later" if error.code in _TRANSIENT else "refused", detail)
    transient = isinstance(error, OSError | SMTPConnectError | SMTPServerDisconnected | SMTPTimeoutError)
    return Receipt("later" if transient else "refused", f"{type(error).__name__}: {error}"[:200])


async def _goodbye(client: SMTP) -> None:
    """What was accepted stays accepted, however the goodbye goes; it is not recorded before, so it must not take long."""
    try:
        await client.quit(timeout=_GOODBYE)
    except SMTPException:
        client.close()
