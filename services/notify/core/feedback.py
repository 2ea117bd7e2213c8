"""Feedback on mail that was sent: which rejections mean a dead address, and reports of bounces and complaints.

Reports come as mail (delivery status notifications, RFC 3464; abuse reports, RFC 5965) or as JSON: our own plain form, and
what Amazon SES (over SNS), SendGrid, Postmark and Mailgun post.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from email import message_from_bytes, message_from_string
from email.message import Message
from email.utils import parseaddr
from typing import Any, NamedTuple

from services.notify.core.state import SuppressionReason
from shared.values import read_time

_DEAD = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
"""Enhanced status codes (RFC 3463 and its registry): no such mailbox or domain, bad syntax, moved, disabled."""
_VAGUE = frozenset({"", "5.0.0", "5.5.0"})
"""Codes that say no more than 5yz: then the reply code and its words decide."""
_DEAD_REPLIES = frozenset({550, 551, 553, 556})
_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY = re.compile(r"\b([245]\d{2})\b")
_POLICY = re.compile(
    r"spam|block|black|denied|policy|reputation|spf|dkim|dmarc|relay|sender|\brbl\b|listed|grey|rate|quota|full|"
    r"tempor|try again|later|content|virus|ip address|verif",
    re.IGNORECASE,
)
"""Words of a rejection that is about us, the message or the moment, and says nothing of the address."""
_OUR_ID = re.compile(r"<([^<>@\s]{1,100})@[^<>@\s]+>")
_MAX_DETAIL = 200
_PLAIN_TYPES: dict[str, SuppressionReason] = {
    "bounce": "bounced",
    "bounced": "bounced",
    "hard_bounce": "bounced",
    "complaint": "complained",
    "complained": "complained",
    "spam": "complained",
    "unsubscribe": "unsubscribed",
    "unsubscribed": "unsubscribed",
}


class Report(NamedTuple):
    """Somebody reports that an address is dead, or that its owner complained or unsubscribed.

    `delivery` is the id of ours that it names, `needs_delivery`: it came in a mail, which anybody can write, so it counts only
    where it names a delivery of ours to that address.
    """

    reason: SuppressionReason
    address: str
    at: datetime | None = None
    detail: str = ""
    delivery: str = ""
    needs_delivery: bool = False


class UnreadableFeedback(Exception):  # noqa: N818  what it is
    """It is no report that is known here. The message says what was expected."""


def is_dead_address(code: int, words: str) -> bool:
    """Whether a rejection of a recipient says that nobody will ever read mail there.

    A full mailbox (552, 5.2.2), a policy (5.7.x) or a blocked sender says nothing of that. Where the server gives no enhanced
    code, 550 and its like count unless their words speak of something else.
    """
    enhanced = _ENHANCED.search(words)
    if enhanced and enhanced[1] not in _VAGUE:
        return enhanced[1] in _DEAD
    return code in _DEAD_REPLIES and not _POLICY.search(words)


def read_json(body: bytes) -> list[Report]:
    """The reports in what a provider posted; soft bounces and other events are left out.

    In a list one that cannot be read costs no other its place. Raises UnreadableFeedback where none can.
    """
    try:
        plain = _cleaned(json.loads(body))
    except (ValueError, RecursionError):
        raise UnreadableFeedback("no JSON") from None
    found = plain if isinstance(plain, list) else [plain]
    reports: list[Report] = []
    unreadable: list[UnreadableFeedback] = []
    for one in found:
        try:
            told = [report for report in _of_object(one) if report is not None and report.address]
            reports += [report._replace(address=_bare(report.address)) for report in told]
        except UnreadableFeedback as error:
            unreadable.append(error)
    if unreadable and len(unreadable) == len(found):
        raise unreadable[0]
    return reports


def _bare(address: str) -> str:
    """The address of `Ann Lee <ann@acme.test>`: some providers repeat the whole recipient."""
    return parseaddr(address)[1] or address if "<" in address else address


def _cleaned(plain: Any) -> Any:
    """Without what no database stores, half characters and NUL: from every text."""
    if isinstance(plain, str):
        return plain.replace("\0", "").encode("utf8", "replace").decode()
    if isinstance(plain, list):
        return [_cleaned(one) for one in plain]
    if isinstance(plain, dict):
        return {name: _cleaned(one) for name, one in plain.items()}
    return plain


def _of_object(one: object) -> Iterable[Report | None]:
    if not isinstance(one, dict):
        raise UnreadableFeedback("a report is an object with type and address")
    if "Type" in one and ("Message" in one or "SubscribeURL" in one):
        return _of_sns(one)
    if "RecordType" in one:
        return [_of_postmark(one)]
    if isinstance(one.get("event-data"), dict):
        return [_of_mailgun(one["event-data"])]
    if "event" in one and "email" in one:
        return [_of_sendgrid(one)]
    return [_of_plain(one)]


def _of_plain(one: Mapping[str, Any]) -> Report | None:
    kind, address = one.get("type"), one.get("address")
    if not isinstance(kind, str) or not isinstance(address, str):
        raise UnreadableFeedback("a report is an object with type (bounce, complaint or unsubscribe) and address")
    reason = _PLAIN_TYPES.get(kind.strip().lower())
    if reason is None and kind.strip().lower() not in {"soft_bounce", "soft"}:
        raise UnreadableFeedback(f"unknown type '{kind[:40]}': bounce, complaint or unsubscribe")
    return reason and Report(reason, address, read_time(one.get("at")), _short(one.get("reason")))


def _of_sns(one: Mapping[str, Any]) -> Iterable[Report | None]:
    if one["Type"] != "Notification":
        return
    try:
        told = json.loads(str(one.get("Message", "")))
    except ValueError:
        raise UnreadableFeedback("the SNS message is no JSON: publish SES notifications to this topic") from None
    told = told if isinstance(told, dict) else {}
    bounce, complaint = _object(told.get("bounce")), _object(told.get("complaint"))
    if bounce.get("bounceType") == "Permanent":
        for who in _objects(bounce.get("bouncedRecipients")):
            at, why = read_time(bounce.get("timestamp")), who.get("diagnosticCode") or bounce.get("bounceSubType")
            yield Report("bounced", str(who.get("emailAddress") or ""), at, _short(why))
    for who in _objects(complaint.get("complainedRecipients")):
        at, why = read_time(complaint.get("timestamp")), complaint.get("complaintFeedbackType")
        yield Report("complained", str(who.get("emailAddress") or ""), at, _short(why))


def _of_sendgrid(one: Mapping[str, Any]) -> Report | None:
    kinds: dict[str, SuppressionReason] = {
        "spamreport": "complained",
        "unsubscribe": "unsubscribed",
        "group_unsubscribe": "unsubscribed",
    }
    reason = kinds.get(str(one["event"]))
    if one["event"] == "bounce" and one.get("type") != "blocked":
        reason = "bounced"
    return reason and Report(reason, str(one["email"]), read_time(one.get("timestamp")), _short(one.get("reason")))


def _of_postmark(one: Mapping[str, Any]) -> Report | None:
    address, at = str(one.get("Email") or one.get("Recipient") or ""), one.get("BouncedAt") or one.get("ChangedAt")
    why = _short(one.get("Details") or one.get("Description") or one.get("SuppressionReason"))
    if one["RecordType"] == "Bounce" and str(one.get("Type")) in {"HardBounce", "BadEmailAddress"}:
        return Report("bounced", address, read_time(at), why)
    if one["RecordType"] == "SpamComplaint":
        return Report("complained", address, read_time(at), why)
    if one["RecordType"] == "SubscriptionChange" and one.get("SuppressSending") is True:
        reasons: dict[str, SuppressionReason] = {"HardBounce": "bounced", "SpamComplaint": "complained"}
        return Report(reasons.get(str(one.get("SuppressionReason")), "unsubscribed"), address, read_time(at), why)
    return None


def _of_mailgun(one: Mapping[str, Any]) -> Report | None:
    address, at, status = str(one.get("recipient") or ""), read_time(one.get("timestamp")), one.get("delivery-status")
    why = _short(_object(status).get("message") or _object(status).get("description"))
    kinds: dict[str, SuppressionReason] = {"complained": "complained", "unsubscribed": "unsubscribed"}
    reason = kinds.get(str(one.get("event")))
    if one.get("event") == "failed" and one.get("severity") == "permanent":
        reason = "bounced" if str(one.get("reason")) in {"bounce", "suppress-bounce"} else None
    return reason and Report(reason, address, at, why)


def read_mail(raw: bytes) -> list[Report]:
    """The reports in a mail: a delivery status notification or an abuse report. Raises UnreadableFeedback."""
    mail = message_from_bytes(raw)
    parts = {part.get_content_type(): part for part in mail.walk()}
    original = _original(parts)
    delivery = _OUR_ID.search(str(original.get("Message-ID", ""))) if original is not None else None
    named = delivery[1] if delivery else ""
    if (status := parts.get("message/delivery-status")) is not None:
        return _of_status(status, named)
    if (abuse := parts.get("message/feedback-report")) is not None:
        return _of_abuse(abuse, original, named)
    raise UnreadableFeedback("no delivery status notification (RFC 3464) and no abuse report (RFC 5965)")


def _of_status(status: Message, delivery: str) -> list[Report]:
    """A failed recipient a group of fields; delayed, relayed and expanded ones are no bounces."""
    reports: list[Report] = []
    for fields in _blocks(status):
        if str(fields.get("Action", "")).strip().lower() != "failed":
            continue
        code, why = _code(fields), _short(fields.get("Diagnostic-Code"))
        reply = _REPLY.search(why.partition(";")[2])
        dead = code in _DEAD if code not in _VAGUE else is_dead_address(int(reply[1]) if reply else 0, why)
        if dead:
            recipients = {_recipient(fields.get(name)) for name in ("Original-Recipient", "Final-Recipient")} - {""}
            reports += [
                Report("bounced", address, None, why or code, delivery, needs_delivery=True)
                for address in sorted(recipients)
            ]
    return reports


def _of_abuse(abuse: Message, original: Message | None, delivery: str) -> list[Report]:
    fields = next(iter(_blocks(abuse)), None)
    if fields is None or str(fields.get("Feedback-Type", "")).strip().lower() == "not-spam":
        return []
    told = str(fields.get("Original-Rcpt-To", "")) or str(original.get("To", "") if original is not None else "")
    kind = _short(fields.get("Feedback-Type"))
    return [Report("complained", parseaddr(told.strip())[1], None, kind, delivery, needs_delivery=True)]


def _blocks(part: Message) -> Iterable[Message]:
    """Groups of fields: parsed by the library, or in the text of the part where it was encoded."""
    payload = part.get_payload()
    if isinstance(payload, list):
        yield from (block for block in payload if isinstance(block, Message))
    elif isinstance(payload, str):
        yield from (message_from_string(block) for block in re.split(r"\r?\n\r?\n", payload.strip()))


def _original(parts: Mapping[str, Message]) -> Message | None:
    """The header of the mail that is reported on."""
    if (whole := parts.get("message/rfc822")) is not None:
        payload = whole.get_payload()
        return payload[0] if isinstance(payload, list) and isinstance(payload[0], Message) else None
    if (head := parts.get("text/rfc822-headers")) is not None:
        payload = head.get_payload(decode=True)
        return message_from_bytes(payload) if isinstance(payload, bytes) else None
    return None


def _code(fields: Message) -> str:
    found = _ENHANCED.search(str(fields.get("Status", "")))
    return found[1] if found else ""


def _recipient(field: object) -> str:
    """`rfc822; ann@acme.test` as the address."""
    return str(field or "").partition(";")[2].strip().strip("<>")


def _short(value: object) -> str:
    return " ".join(str(value or "").split())[:_MAX_DETAIL]


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
