"""What do we know of the account after this message? Facts only: nothing is decided here."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from services.advocacy.core.account import Account, Contact, Scored
from services.advocacy.core.definitions import Definitions
from shared.contracts.lifecycle import ContactChanged, LifecycleMessage, Snapshot
from shared.contracts.outreach import ConsentChanged

TENURE = "tenure_days"
"""A metric with which lifecycle may tell that a customer is older than our first sight of it."""


def clocked(account: Account, message: LifecycleMessage) -> Account:
    """The account's clock reaches the message. `born` is its first sight until lifecycle knows better."""
    return replace(
        account,
        seq=message.seq,
        clock=max(account.clock, message.at),
        born=account.born or message.at,
        live=account.live or not message.history,
    )


def snapshotted(account: Account, snapshot: Snapshot, definitions: Definitions) -> Account:
    """The account as the snapshot shows it."""
    return replace(
        account,
        stage=snapshot.stage,
        band=snapshot.band,
        score=snapshot.score,
        flags=tuple(sorted(snapshot.flags)),
        metrics={name: snapshot.metrics[name] for name in definitions.kept_metrics if name in snapshot.metrics},
        born=_born(account, snapshot),
    )


def _born(account: Account, snapshot: Snapshot) -> datetime | None:
    """Only ever earlier: a day that has passed on the account's clock can never fall due again."""
    tenure = snapshot.metrics.get(TENURE)
    if account.born is None or isinstance(tenure, bool | str | None) or not 0 <= tenure < 36500:
        return account.born
    return min(account.born, account.clock - timedelta(days=tenure))


def acquainted(account: Account, message: ContactChanged) -> Account:
    """A person became known or changed; what a message leaves out stays as it was."""
    known = account.contacts.get(message.user, Contact())
    contact = replace(
        known,
        email=message.email or known.email,
        name=message.name or known.name,
        role=(message.role or known.role).lower(),
        unsubscribed=message.unsubscribed,
        gone=message.gone,
    )
    return replace(account, contacts={**account.contacts, message.user: contact})


def consented(account: Account, message: ConsentChanged) -> Account:
    """A person unsubscribed from a topic or came back; coming back to everything lifts every refusal."""
    known = account.contacts.get(message.user, Contact())
    topics = set(known.refused)
    if not message.granted:
        topics.add(message.topic)
    elif message.topic == "*":
        topics.clear()
    else:
        topics.discard(message.topic)
    contact = replace(known, refused=tuple(sorted(topics)))
    return replace(account, contacts={**account.contacts, message.user: contact})


def answered(account: Account, user: str, kind: str, score: int, at: datetime) -> Account:
    """A person's latest answer of this kind; one that is older than what we know changes nothing."""
    known = account.scores.get(user, {})
    if kind in known and known[kind].at > at:
        return account
    return replace(account, scores={**account.scores, user: {**known, kind: Scored(score, at)}})
