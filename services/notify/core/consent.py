"""May we write to this person about this? What they declined, and what everybody must still be told."""

from msgspec.structs import replace

from services.notify.core.state import Account
from shared.contracts.outreach import ConsentChanged

EVERYTHING = "*"
TRANSACTIONAL = "transactional"


def declined(account: Account, user: str, class_: str, topic: str) -> bool:
    """Whether they said no to it. A failed payment is told all the same: that is no marketing."""
    if class_ == TRANSACTIONAL:
        return False
    contact = account.contacts.get(user)
    refused = account.refused.get(user, [])
    return bool(contact and contact.unsubscribed) or not {EVERYTHING, class_, topic}.isdisjoint(refused)


def consented(account: Account, change: ConsentChanged) -> Account:
    """The account after a person unsubscribed from a topic or came back. Coming back to everything forgets all."""
    topics = set(account.refused.get(change.user, []))
    topics = topics - {change.topic} if change.granted else topics | {change.topic}
    if change.granted and change.topic == EVERYTHING:
        topics = set()
    others = {user: refused for user, refused in account.refused.items() if user != change.user}
    return replace(account, refused=others | ({change.user: sorted(topics)} if topics else {}))
