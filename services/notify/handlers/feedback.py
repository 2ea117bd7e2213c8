"""Feedback handlers: a bounce or a complaint speaks against an address from its commit on, in every account."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from services.notify import store
from services.notify.core.feedback import Report
from services.notify.core.person import normalised_address
from services.notify.core.state import EVERYTHING
from services.notify.persons import NewRefusal, Persons
from services.notify.store import DeliveryRecord
from shared.db.protocol import Tx

_EARLIEST_STATUSES = {"sent", "unknown"}


class FeedbackTaken(NamedTuple):
    """How many reports suppressed an address, said what was known, and could not be believed."""

    suppressed: int = 0
    known: int = 0
    unbelieved: int = 0


async def take_feedback(
    tx: Tx, reports: Iterable[Report], persons: Persons, source: str, now: datetime
) -> FeedbackTaken:
    """Suppress what is reported. One that came by mail must name a delivery of ours, and its address.

    A delivery that left does not change any more, so none is locked; the persons are, all of them at once.
    """
    await persons.verify(tx, now)
    taken, told = FeedbackTaken(), list[tuple[dict[str, str | None], NewRefusal]]()
    for report in reports:
        record = await store.load(tx, report.delivery) if report.delivery else None
        address = _believed_address(report, record)
        if not address or normalised_address(address) is None:
            taken = taken._replace(unbelieved=taken.unbelieved + 1)
            continue
        refusal = NewRefusal(EVERYTHING, report.reason, source, min(report.at or now, now), report.detail)
        user = record.user if record is not None and report.reason != "bounced" else None
        told.append((dict.fromkeys(persons.refusing(address, user, refusal.reason), address), refusal))
    await persons.lock(tx, {key for keys, _ in told for key in keys})
    for keys, refusal in told:
        if await persons.add(tx, keys, refusal):
            taken = taken._replace(suppressed=taken.suppressed + 1)
        else:
            taken = taken._replace(known=taken.known + 1)
    return taken


def _believed_address(report: Report, record: DeliveryRecord | None) -> str:
    """The address that is suppressed; empty where the report may be anybody's invention."""
    if not report.needs_delivery:
        return report.address
    if record is None or not record.address or record.status not in _EARLIEST_STATUSES:
        return ""
    redacted = report.reason == "complained" and normalised_address(report.address) is None
    same = normalised_address(report.address) == normalised_address(record.address)
    return record.address if redacted or same else ""
