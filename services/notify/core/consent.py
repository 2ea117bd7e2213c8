"""Consent: what a person declined, and what everybody is told all the same."""

from msgspec.structs import replace

from services.notify.core.state import Account
from shared.contracts.outreach import ConsentChanged

EVERYTHING = "*"
TRANSACTIONAL = "transactional"


def has_declined(account: Account, user: str, class_: str, topic: str) -> bool:
    """Whether they declined messages of this class or topic. Transactional ones (a failed payment) are no marketing."""
    if class_ == TRANSACTIONAL:
        return False
    contact = account.contacts.get(user)
    declined = account.declined_topics.get(user, [])
    return bool(contact and contact.unsubscribed) or not {EVERYTHING, class_, topic}.isdisjoint(declined)


def apply_consent(account: Account, change: ConsentChanged) -> Account:
    """The account after a person unsubscribed from a topic or came back. Coming back to everything clears all topics."""
    topics = set(account.declined_topics.get(change.user, []))
    topics = topics - {change.topic} if change.granted else topics | {change.topic}
    if change.granted and change.topic == EVERYTHING:
        topics = set()
    others = {user: declined for user, declined in account.declined_topics.items() if user != change.user}
    return replace(account, declined_topics=others | ({change.user: sorted(topics)} if topics else {}))
