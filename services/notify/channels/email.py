"""Email channel: one SMTP conversation a delivery, whose DATA is the point of no return.

Refused before the data: nothing was accepted. Lost after it began: it may have been. See docs/decisions/notify-smtp.md.
The mail has headers that nobody can add to, a text and its HTML, and an unsubscribe link.
"""

import asyncio
import textwrap
from collections.abc import Callable
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from functools import partial
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPConnectError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from services.notify.channels.channel import Channel, ConfirmSend, Delivery, Now, Receipt
from services.notify.core.channels import ChannelTraits, CrashOutcomes, deliverable, has_mail_address
from services.notify.core.feedback import is_dead_address
from shared.failures import Refused
from shared.settings import Settings

Connect = Callable[[], SMTP]
"""A fresh client, not yet connected: host, TLS and credentials are the shell's."""

_TRANSIENT = range(400, 500)
_CLOSING = 421
"""The server says that it is going away: to everybody."""
_REJECTED = range(400, 600)
_PERMANENT = range(500, 600)
_QUIT_TIMEOUT = 2.0
_SMTP_TIMEOUT = 30.0
_PROBE_TIMEOUT = 5.0
_NO_STARTTLS = "STARTTLS extension not supported"
_WOULD_BE_CLEAR = (
    "the mail server offers no STARTTLS, and a password is never sent in clear: use smtps:// or another server"
)
_WIDTH = 76
_PORTS = {"smtp": 25, "smtps": 465}
_POLICY = SMTP_POLICY.clone(max_line_length=998, cte_type="7bit")
"""Folding would cut long unsubscribe links into encoded words; 7bit needs no extension of the server."""
_BODY_POLICY = _POLICY.clone(max_line_length=_WIDTH)
"""Quoted-printable has no longer lines (RFC 2045); spam filters count those that do."""


class InvalidMail(Exception):  # noqa: N818  what it is
    """The delivery cannot be put into a mail: a header or an address would carry something it must not."""


class Greeting(NamedTuple):
    """How a mail server received us: the `problem`, empty where it would take mail, and whether we speak in cipher."""

    problem: str
    encrypted: bool = False


class EmailSender:
    """Sends by SMTP. `now` stamps the Date header."""

    def __init__(self, connect: Connect, mail_from: str, now: Now) -> None:
        self._connect = connect
        self._from = parse_sender(mail_from)
        self._now = now

    async def probe(self) -> Greeting:
        """What the mail server says before any mail: why it would take none, as far as a greeting tells."""
        client = self._connect()
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT):
                await client.connect()
                await client.mail(self._from.addr_spec)
            return Greeting("", encrypted=client.get_transport_info("ssl_object") is not None)
        except TimeoutError:
            return Greeting(f"no answer within {_PROBE_TIMEOUT:g} s")
        except (SMTPException, OSError) as error:
            return Greeting(_unconnected(error).detail)
        finally:
            client.close()

    async def send(self, delivery: Delivery, confirm: ConfirmSend) -> Receipt:
        try:
            mail = build_message(delivery, self._from, self._now())
        except (InvalidMail, ValueError) as error:
            return Receipt("refused", str(error))
        client = self._connect()
        try:
            await client.connect()
        except (SMTPException, OSError) as error:
            client.close()
            return _unconnected(error)
        except BaseException:
            client.close()
            raise
        try:
            await client.mail(self._from.addr_spec)
        except (SMTPException, OSError) as error:
            client.close()
            return _rejected(error)
        except BaseException:
            client.close()
            raise
        try:
            await client.rcpt(delivery.email or "")
        except (SMTPException, OSError) as error:
            client.close()
            return _recipient_rejected(error)
        except BaseException:
            client.close()
            raise
        try:
            await confirm()
            receipt = await _data(client, mail.as_bytes(), str(mail["Message-ID"]))
        except BaseException:  # cut off, or not ours any more: a QUIT would wait for a server that may hang
            client.close()
            raise
        await _quit(client)
        return receipt


async def _data(client: SMTP, content: bytes, reference: str) -> Receipt:
    try:
        answer = await client.data(content)
    except SMTPException as error:
        if isinstance(error, SMTPResponseException) and error.code in _REJECTED:
            receipt = _rejected(error)  # the content may be what it does not like, unless it names the address
            return receipt._replace(outcome="bounced") if is_dead_address(0, error.message) else receipt
        return Receipt("uncertain", f"the conversation broke off: {type(error).__name__}", reference)
    return Receipt("accepted", answer.message[:200], reference)


def _unconnected(error: SMTPException | OSError) -> Receipt:
    """There is no conversation: a wrong password or a missing STARTTLS says nothing of this mail, so it waits."""
    if isinstance(error, SMTPResponseException):
        return Receipt("retry", f"{error.code} {error.message}"[:200], nobody=True)
    if _NO_STARTTLS in str(error):
        return Receipt("retry", _WOULD_BE_CLEAR, nobody=True)
    return Receipt("retry", f"{type(error).__name__}: {error}"[:200], nobody=True)


def _recipient_rejected(error: SMTPException | OSError) -> Receipt:
    """As any rejection, but for a permanent one that says the address is dead."""
    receipt = _rejected(error)
    if isinstance(error, SMTPResponseException) and error.code in _PERMANENT:
        return receipt._replace(outcome="bounced") if is_dead_address(error.code, error.message) else receipt
    return receipt


def _rejected(error: SMTPException | OSError) -> Receipt:
    """The server rejected it, or never answered: a 4yz reply and a lost connection are retried."""
    if isinstance(error, SMTPResponseException):
        detail = f"{error.code} {error.message}"[:200]
        return Receipt("retry" if error.code in _TRANSIENT else "refused", detail, nobody=error.code == _CLOSING)
    transient = isinstance(error, OSError | SMTPConnectError | SMTPServerDisconnected | SMTPTimeoutError)
    return Receipt("retry" if transient else "refused", f"{type(error).__name__}: {error}"[:200], nobody=transient)


async def _quit(client: SMTP) -> None:
    """What was accepted stays accepted, however QUIT goes; the outcome is recorded after it, so it must not take long."""
    try:
        await client.quit(timeout=_QUIT_TIMEOUT)
    except SMTPException:
        client.close()


def parse_sender(text: str) -> Address:
    """`Name <a@b.test>` as an address. Raises InvalidMail."""
    name, address = parseaddr(_line(text))
    return _address(name, address)


def build_message(delivery: Delivery, source: Address, at: datetime) -> EmailMessage:
    """The mail. Raises InvalidMail."""
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = source
    mail["To"] = _address(delivery.name, delivery.email or "")
    if delivery.reply_to:
        mail["Reply-To"] = _address("", delivery.reply_to)
    mail["Subject"] = _words(delivery.subject)
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<{_line(delivery.id)}@{source.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    if delivery.unsubscribe:
        mail["List-Unsubscribe"] = f"<{_link(delivery.unsubscribe)}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.policy = _BODY_POLICY
    mail.set_content(wrapped(delivery.text), cte="quoted-printable")
    mail.add_alternative(delivery.html, subtype="html", cte="quoted-printable")
    mail.policy = _POLICY
    return mail


def wrapped(text: str) -> str:
    """The text in lines of at most 76 characters, as programs expect that show plain text; addresses stay whole."""
    return "\n".join(_wrapped(line) for line in text.split("\n"))


def _wrapped(line: str) -> str:
    if len(line) <= _WIDTH:
        return line  # "-- " keeps its blank: programs know by it what stands below a mail
    follow = "  " if line.startswith("- ") else ""
    return (
        "\n".join(textwrap.wrap(line, _WIDTH, subsequent_indent=follow, break_long_words=False, break_on_hyphens=False))
        or line
    )


def _address(name: str, address: str) -> Address:
    if not deliverable(address):
        raise InvalidMail("not an address that mail can go to")
    return Address(display_name=_words(name), addr_spec=address)


def _link(url: str) -> str:
    if not url.startswith(("https://", "http://")) or any(sign in url for sign in "<> ,") or not url.isascii():
        raise InvalidMail("not a link that can stand in a header")
    return _line(url)


def _words(value: str) -> str:
    """Text of a header. One with an encoded word in it would be decoded, and say something else than was checked."""
    if "=?" in value:
        raise InvalidMail("an encoded word in a header")
    return _line(value)


def _line(value: str) -> str:
    if any(ord(sign) < 32 or sign in "\x7f\u0085\u2028\u2029" for sign in value):
        raise InvalidMail("a line break or control character in a header")
    return value


def _build(settings: Settings, now: Now) -> EmailSender:
    url = settings.smtp_url.get_secret_value() if settings.smtp_url else ""
    to = urlsplit(url)
    if to.scheme not in _PORTS or not to.hostname:
        raise Refused("WAYMARK_SMTP_URL: use smtp://[USER:PASSWORD@]HOST:PORT, or smtps:// for TLS")
    connect = partial(
        SMTP,
        hostname=to.hostname,
        port=to.port or _PORTS[to.scheme],
        username=unquote(to.username) if to.username else None,
        password=unquote(to.password) if to.password else None,
        use_tls=to.scheme == "smtps",
        start_tls=True if to.username and to.scheme == "smtp" else None,  # None: where the server offers it
        timeout=min(_SMTP_TIMEOUT, settings.send_lease / 2),
    )
    try:
        return EmailSender(connect, settings.mail_from, now)
    except InvalidMail as error:
        raise Refused(f"WAYMARK_MAIL_FROM: {error}; use NAME <NAME@HOST>") from None


EMAIL = Channel(
    ChannelTraits(
        name="email",
        reaches_customer=True,
        opens_task=False,
        quiet_hours=True,
        unsubscribe_footer=True,
        address_rule=has_mail_address,
        crash_outcomes=CrashOutcomes(claimed="retry", data_sent="uncertain"),
    ),
    settings=("smtp_url",),
    build=_build,
)
