"""How does a delivery look as mail? Headers that nobody can add to, a text and its HTML, and a way out."""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from services.notify.channels.channel import Delivery
from services.notify.core.addresses import deliverable

_POLICY = SMTP.clone(max_line_length=998, cte_type="7bit")
"""Folding would cut long unsubscribe links into encoded words; 7bit needs no extension of the server."""


class Unwritable(Exception):  # noqa: N818  what it is
    """The delivery cannot be put into a mail: a header or an address would carry something it must not."""


def sender(text: str) -> Address:
    """`Name <a@b.test>` as an address. Raises Unwritable."""
    name, address = parseaddr(_line(text))
    return _address(name, address)


def message(delivery: Delivery, source: Address, at: datetime) -> EmailMessage:
    """The mail. Raises Unwritable."""
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = source
    mail["To"] = _address(delivery.name, delivery.email or "")
    mail["Subject"] = _line(delivery.subject)
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<{_line(delivery.id)}@{source.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    if delivery.unsubscribe:
        mail["List-Unsubscribe"] = f"<{_link(delivery.unsubscribe)}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(delivery.text)
    mail.add_alternative(delivery.html, subtype="html")
    return mail


def _address(name: str, address: str) -> Address:
    if not deliverable(address):
        raise Unwritable("not an address that mail can go to")
    return Address(display_name=_line(name), addr_spec=address)


def _link(url: str) -> str:
    if not url.startswith(("https://", "http://")) or any(sign in url for sign in "<> ,") or not url.isascii():
        raise Unwritable("not a link that can stand in a header")
    return _line(url)


def _line(value: str) -> str:
    if any(ord(sign) < 32 or sign in "\x7f\u0085\u2028\u2029" for sign in value):
        raise Unwritable("a line break or control character in a header")
    return value
