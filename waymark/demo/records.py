"""What does Quayside's code send? Bodies as its tracking SDK would post them, before time and id are put on."""

from datetime import date
from typing import Any

from waymark.demo.account import Account, Person
from waymark.demo.market import FEATURES

Body = dict[str, Any]


def track(account: Account, user: str, event: str, properties: dict[str, Any]) -> Body:
    return {
        "type": "track",
        "userId": user,
        "event": event,
        "properties": properties,
        "context": {"groupId": account.id},
    }


def identify(account: Account, person: Person) -> Body:
    traits = {"email": person.email, "name": person.name, "role": person.role, "timezone": account.timezone}
    return {"type": "identify", "userId": person.user, "traits": traits, "context": {"groupId": account.id}}


def group(account: Account, user: str, seats: int, renewal_at: date) -> Body:
    traits = {
        "name": account.name,
        "plan": account.segment.plan,
        "seats": seats,
        "mrr": seats * account.segment.price,
        "renewal_at": renewal_at.isoformat(),
        "entitled_features": len(FEATURES),
        "segment": account.segment.name,
        "csm": account.csm,
    }
    return {
        "type": "group",
        "userId": user,
        "groupId": account.id,
        "traits": traits,
        "context": {"groupId": account.id},
    }
