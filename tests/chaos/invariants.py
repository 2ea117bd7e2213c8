"""Invariants: each promise as a function of the evidence; a check that had nothing to look at has failed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import NamedTuple

from tests.chaos.evidence import Cap, Consent, Evidence, PublishedMessage, Send, TopicRecord

_SHOWN = 5


class Verdict(NamedTuple):
    """How many things were looked at, and which of them are wrong."""

    code: str
    promise: str
    checked: int
    broken: list[str]

    @property
    def kept(self) -> bool:
        """A check that had nothing to look at proves nothing."""
        return self.checked > 0 and not self.broken

    def __str__(self) -> str:
        state = "kept" if self.kept else "BROKEN" if self.broken else "NOTHING TO CHECK"
        first = "".join(f"\n      {one}" for one in self.broken[:_SHOWN])
        return (
            f"{self.code:>4}  {state:<8} {self.promise}: {self.checked:,} checked, {len(self.broken):,} broken{first}"
        )


TRANSACTIONAL = "transactional"
EVERYTHING = "*"
MIDNIGHTS = 400
"""At so many midnights the core may look for one event: some tens of milliseconds, where 5 s are promised to all behind it.

A gap of 56 years costs about ten of them in a jump, and twenty thousand in a loop.
"""
LATER = 5.0
"""Seconds by which others may delay a decision."""
AHEAD = timedelta(minutes=5)
"""As far as anybody is believed ahead of the receipt."""


Found = tuple[int, Iterable[str]]


def verdicts(evidence: Evidence) -> list[Verdict]:
    """Every invariant's verdict."""
    found = ((code, promise, *check(evidence)) for code, promise, check in INVARIANTS)
    return [Verdict(code, promise, checked, list(broken)) for code, promise, checked, broken in found]


def tiled(evidence: Evidence) -> Found:
    """Every cursor went from the log's beginning to its end in steps that neither overlap nor leave a hole."""
    steps = defaultdict(list)
    for move in evidence.moves:
        steps[move.partition].append(move)
    return len(evidence.moves), _untiled(evidence, steps)


def _untiled(evidence: Evidence, steps: dict) -> Iterator[str]:  # type: ignore[type-arg]
    for partition, span in evidence.spans.items():
        at = span.begin
        for move in steps.get(partition, []):
            if move.was != at or move.now <= move.was:
                yield f"{partition}: a step from {move.was} to {move.now} where the cursor stood at {at}"
            at = move.now
        if at != span.end:
            yield f"{partition}: the cursor ended at {at}, the log at {span.end}"


def nothing_lost(evidence: Evidence) -> Found:
    """What was accepted was processed, or set aside where somebody can see it."""
    there = {event.id for event in evidence.archive} | evidence.parked
    lost = sorted(evidence.accepted - there)
    return len(evidence.accepted), (f"{name} was accepted and is nowhere" for name in lost)


def once(evidence: Evidence) -> Found:
    """Each event is in the archive once, and was counted once."""
    return len(evidence.archive), _not_once(evidence)


def _not_once(evidence: Evidence) -> Iterator[str]:
    times = Counter(event.id for event in evidence.archive)
    yield from (f"{name} is in the archive {many} times" for name, many in times.items() if many > 1)
    yield from (f"{name} was never posted" for name in sorted(times.keys() - evidence.posted))
    expected = Counter(event.account for event in evidence.archive)
    for account in sorted(expected.keys() | evidence.counted.keys()):
        if expected[account] != evidence.counted.get(account, 0):
            yield f"{account}: {expected[account]} events archived, {evidence.counted.get(account, 0)} counted"


def contiguous(evidence: Evidence) -> Found:
    """An account's messages are numbered from 1 without a gap, and the account knows the last number."""
    return len(evidence.messages), _gaps(evidence)


def _gaps(evidence: Evidence) -> Iterator[str]:
    for account, messages in _by_account(evidence.messages).items():
        seqs = sorted(one.seq for one in messages)
        if seqs != list(range(1, len(seqs) + 1)):
            yield f"{account}: messages {seqs[:20]}"
        if evidence.last_seq.get(account) != len(seqs):
            yield f"{account}: {len(seqs)} messages, but the account is at {evidence.last_seq.get(account)}"


def in_order(evidence: Evidence) -> Found:
    """Topics hold everything, in order, once a reader has dropped what a relay repeated."""
    return len(evidence.records), _disordered(evidence)


def _disordered(evidence: Evidence) -> Iterator[str]:
    seen: list[PublishedMessage] = []
    for place, records in _by_partition(evidence.records).items():
        ids: list[str] = []
        for record in records:
            if record.seq < len(ids):
                if ids[record.seq] != record.id:
                    yield f"{place}: {record.seq} was {ids[record.seq]}, then {record.id}"
                continue
            if record.seq > len(ids):
                yield f"{place}: {len(ids)} is missing before {record.seq}"
            ids += [""] * (record.seq - len(ids)) + [record.id]
            seen += [record.message] if record.message else []
    published = _by_account(seen)
    decided = _by_account(evidence.messages)
    for account in sorted(published.keys() | decided.keys()):
        if published.get(account, []) != sorted(decided.get(account, []), key=lambda one: one.seq):
            yield f"{account}: the topic does not tell what was decided, in its order"


def sent_once(evidence: Evidence) -> Found:
    """At most one accepted mail for each occasion; a webhook may come again, but under the same id."""
    return len(evidence.sends), _twice(evidence.sends)


def _twice(sends: list[Send]) -> Iterator[str]:
    mails = Counter(send.occasion for send in sends if send.channel == "email")
    yield from (f"{occasion} was mailed {many} times" for occasion, many in mails.items() if many > 1)
    names = defaultdict(set)
    for send in sends:
        names[send.occasion].add(send.delivery)
    yield from (f"{occasion} went out under {len(ids)} ids" for occasion, ids in names.items() if len(ids) > 1)


def within_caps(evidence: Evidence) -> Found:
    """Nobody got more mail than the contact budget allows, at any moment, from all accounts together: a person is an address.

    What is shown in the product, by webhook, is no contact.
    """
    sends = sorted((send for send in evidence.sends if send.channel == "email"), key=lambda send: send.at)
    return len(sends) * len(evidence.caps), _flooded(evidence, sends)


def _flooded(evidence: Evidence, sends: list[Send]) -> Iterator[str]:
    for cap in evidence.caps:
        times = defaultdict(list)
        for send in sends:
            of_cap = not cap.classes or send.outreach_class in cap.classes
            of_cap = of_cap and (not cap.topics or send.topic in cap.topics)
            if of_cap and send.outreach_class != TRANSACTIONAL:
                times[_counted_for(send, cap)].append(send.at)
        for who, when in times.items():
            worst = max(sum(at - cap.within < other <= at for other in when) for at in when)
            if worst > cap.max:
                yield f"'{cap.name}' allows {cap.max}: {who} got {worst}"


def _counted_for(send: Send, cap: Cap) -> tuple[str, str]:
    """The account, or the person: known by their address, else by their account and user id."""
    if cap.account:
        return send.account, ""
    return ("", send.address) if send.address else (send.account, send.user)


def balanced(evidence: Evidence) -> Found:
    """The ledger's transactions sum to zero, each alone and all together; a side is rewarded once."""
    return len(evidence.entries) + len(evidence.rewards), _unbalanced(evidence)


def _unbalanced(evidence: Evidence) -> Iterator[str]:
    sums: Counter[tuple[str, str]] = Counter()
    for entry in evidence.entries:
        sums[entry.transaction, entry.currency] += entry.amount
    yield from (f"transaction {name} sums to {total} {of}" for (name, of), total in sums.items() if total)
    sides = Counter((reward.referral, reward.side) for reward in evidence.rewards)
    yield from (
        f"{side} of {referral} was rewarded {many} times" for (referral, side), many in sides.items() if many > 1
    )
    booked = {entry.reward for entry in evidence.entries}
    known = {reward.id for reward in evidence.rewards}
    yield from (f"reward {name} and the ledger do not know each other" for name in sorted(booked ^ known))


def respected(evidence: Evidence) -> Found:
    """Once a person's no was taken, nothing to them passed the point of no return; and what a sink got had passed it."""
    said = sum(one.what == "no" for one in evidence.consents)
    return said, _disrespected(evidence)


def _disrespected(evidence: Evidence) -> Iterator[str]:
    declined: dict[tuple[str, str], set[str]] = defaultdict(set)
    passed: set[str] = set()
    for one in evidence.consents:
        theirs = declined[one.account, one.user]
        if one.what == "last word":
            passed.add(one.delivery)
            if _against(one, theirs):
                yield f"{one.delivery} to {one.user} of {one.account} after they had said no"
        elif one.what == "no":
            theirs.add(one.topic)
        else:
            theirs.difference_update(list(theirs) if one.topic == EVERYTHING else [one.topic])
    yield from (f"{s.delivery} was sent without a last word" for s in evidence.sends if s.delivery not in passed)


def respected_everywhere(evidence: Evidence) -> Found:
    """Once a person's no was taken, nothing to their address or user id passed the point of no return, from any account."""
    said = sum(one.what == "no" for one in evidence.consents)
    return said, _disrespected_somewhere(evidence)


def _disrespected_somewhere(evidence: Evidence) -> Iterator[str]:
    declined: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in evidence.consents:
        names = [("user", one.user), *([("address", one.address)] if one.address else [])]
        if one.what == "last word":
            for name in names:
                if _against(one, declined[name]):
                    yield f"{one.delivery} from {one.account} to {name[0]} {name[1]}, who had said no"
        for name in names:
            if one.what == "no":
                declined[name].add(one.topic)
            elif one.what == "yes":
                declined[name].difference_update(list(declined[name]) if one.topic == EVERYTHING else [one.topic])


def _against(one: Consent, declined: set[str]) -> bool:
    return one.outreach_class != TRANSACTIONAL and bool(declined & {one.topic, EVERYTHING})


def replays(evidence: Evidence) -> Found:
    """The archive gives every account's state again, and reading the log once more sends nothing."""
    differ = (
        f"{name}: the archive tells another story ({both.live} and {both.again})"
        for name, both in evidence.replayed.items()
        if both.live != both.again
    )
    again = evidence.sends_after_reread
    left = [f"{again} messages left when the log was read again"] if again else []
    moved = (f"{name} was another one to notify after the log was read again" for name in evidence.moved_by_reread)
    return len(evidence.replayed), [*differ, *left, *moved]


def nothing_parked_by_outage(evidence: Evidence) -> Found:
    """Only what is wrong in itself is set aside: an outage parks nothing."""
    wrong = sorted(evidence.parked - evidence.allowed)
    return len(evidence.posted), (f"{name} was parked" for name in wrong)


def only_trusted(evidence: Evidence) -> Found:
    """Whatever a browser's key said, what only the company may say is what its server's events alone give."""
    facts = evidence.trusted if evidence.claimed else []
    return len(facts), (
        f"{one.what}: {one.live}, but the server told {one.told}" for one in facts if one.live != one.told
    )


def nobody_waits(evidence: Evidence) -> Found:
    """Whatever times others send and servers show, none makes work for more than a while, and no account or receipt is in the
    future or before its time.
    """
    return len(evidence.ages) if evidence.lies else 0, _waits(evidence)


def _waits(evidence: Evidence) -> Iterator[str]:
    for name, midnights in sorted(evidence.midnights.items()):
        if midnights > MIDNIGHTS:
            yield f"{name}: one event made the core look at {midnights} midnights, behind which everybody waits"
    for age in evidence.ages:
        if age.clock > evidence.ended + AHEAD:
            yield f"{age.account}: left in the future, at {age.clock}"
        if age.first_seen < age.earliest:
            yield f"{age.account}: born {age.first_seen}, but nothing of it may have happened before {age.earliest}"

    alone, among = (max(found, default=0.0) for found in (evidence.waits_alone, evidence.waits_among_others))
    if among > alone + LATER:
        yield f"an honest event was decided after {among:.1f} s, under the honest load alone after {alone:.1f} s"
    for receipt in evidence.receipts:
        if not receipt.posted - AHEAD <= receipt.received <= evidence.ended + AHEAD:
            yield f"{receipt.event}: posted {receipt.posted}, received {receipt.received}"


def _by_account(messages: Iterable[PublishedMessage]) -> dict[str, list[PublishedMessage]]:
    found: dict[str, list[PublishedMessage]] = defaultdict(list)
    for one in messages:
        found[one.account].append(one)
    return found


def _by_partition(records: Iterable[TopicRecord]) -> dict[tuple[str, int], list[TopicRecord]]:
    found: dict[tuple[str, int], list[TopicRecord]] = defaultdict(list)
    for record in sorted(records, key=lambda one: (one.topic, one.part, one.offset)):
        found[record.topic, record.part].append(record)
    return found


Check = Callable[[Evidence], Found]
INVARIANTS: list[tuple[str, str, Check]] = [
    ("I1", "cursors tile the log", tiled),
    ("I2", "nothing accepted is lost", nothing_lost),
    ("I3", "one effect an event", once),
    ("I4", "each account's messages are contiguous", contiguous),
    ("I5", "the topics tell what was decided, in order", in_order),
    ("I6", "nothing is sent twice", sent_once),
    ("I7", "nobody is flooded", within_caps),
    ("I8", "the ledger sums to zero", balanced),
    ("I9", "a no is respected", respected),
    ("I10", "the archive replays to the same state and sends nothing", replays),
    ("I11", "an outage parks nothing", nothing_parked_by_outage),
    ("I12", "dates that others send hold nobody up and age nobody", nobody_waits),
    ("I13", "a no is respected in every account, under every user id", respected_everywhere),
    ("I14", "nothing a browser says moves a trusted fact", only_trusted),
]
"""Every promise: its number, its words, its check."""
