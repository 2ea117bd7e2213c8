"""What does a line say? Either of two shapes becomes one: the body that a tracking SDK would post."""

from datetime import UTC, datetime
from typing import Any, get_args

import msgspec

from shared.contracts.usage import EventType

Body = dict[str, Any]
_TYPES = frozenset(get_args(EventType))
_decode = msgspec.json.Decoder(Body).decode


class BadLineError(Exception):
    """The line cannot be imported; the text says why."""


def body(content: bytes) -> Body:
    """The line's record. A canonical line has an `account_id` and no `type`; anything else is Segment's shape."""
    try:
        line = _decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadLineError(f"not a JSON object: {error}") from None
    return checked(_from_canonical(line) if "account_id" in line and "type" not in line else line)


def checked(record: Body) -> Body:
    """The record, if the server can place it: a known type, a name, a time."""
    if str(record.get("type")) not in _TYPES:
        raise BadLineError(f"type is {record.get('type')!r}; known are {', '.join(sorted(_TYPES))}")
    if record["type"] == "track" and not (isinstance(record.get("event"), str) and record["event"]):
        raise BadLineError("a track record needs an event name")
    moment(record)
    return record


def moment(record: Body) -> datetime:
    """When it happened, in UTC; a time without a zone is UTC."""
    text = record.get("timestamp") or record.get("originalTimestamp")
    if not isinstance(text, str):
        raise BadLineError("no timestamp: history needs the time at which each thing happened")
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadLineError(f"timestamp {text!r} is not ISO 8601") from None


def account(record: Body, latest: dict[str, str]) -> str | None:
    """Whose record it is, as the server resolves it; `latest` remembers each user's last group call."""
    found = _group(record.get("context")) or _group(record) or _posthog(record.get("properties"))
    user = record.get("userId")
    if record["type"] == "group" and user and found:
        latest[str(user)] = found
    return found or latest.get(str(user))


def _from_canonical(line: Body) -> Body:
    properties = dict(_object(line, "properties"))
    if line.get("subscription_id") is not None:
        properties["subscription_id"] = line["subscription_id"]
    optional = {"messageId": line.get("messageId"), "userId": line.get("user_id")}
    return {
        "type": "track",
        "event": line.get("event"),
        "timestamp": line.get("timestamp"),
        "context": {"groupId": str(line["account_id"])},
        "properties": properties,
        **{name: value for name, value in optional.items() if value is not None},
    }


def _object(line: Body, name: str) -> Body:
    value = line.get(name) or {}
    if not isinstance(value, dict):
        raise BadLineError(f"{name} is not an object")
    return value


def _group(holder: Any) -> str | None:
    value = holder.get("groupId") if isinstance(holder, dict) else None
    return str(value) if isinstance(value, str | int) and value != "" else None


def _posthog(properties: Any) -> str | None:
    groups = properties.get("$groups") if isinstance(properties, dict) else None
    company = groups.get("company") if isinstance(groups, dict) else None
    return str(company) if company else None
