"""Whom does a step address? The first role of the play that somebody reachable has, those who agree before others."""

from services.notify.core.addresses import deliverable
from services.notify.core.consent import declined
from services.notify.core.playbook import Play, Step
from services.notify.core.reach import REACH
from services.notify.core.state import Account, Contact

ANY = "any"


def addressed(account: Account, play: Play, step: Step) -> list[str]:
    """Users, best first. Those who declined come last: with nobody else, the refusal is what is recorded."""
    people = ((user, who) for user, who in account.contacts.items() if _reachable(who, step))
    ranked = sorted((rank, user) for user, who in people if (rank := _rank(who, play)) is not None)
    willing = [(rank, user) for rank, user in ranked if not declined(account, user, play.class_, play.topic)]
    chosen = willing or ranked
    best = [user for rank, user in chosen if rank == chosen[0][0]]
    return best[: play.audience.max_recipients]


def _reachable(who: Contact, step: Step) -> bool:
    return not who.gone and (not REACH[step.channel].address or deliverable(who.email))


def _rank(who: Contact, play: Play) -> int | None:
    role = (who.role or "").lower()
    fits = (index for index, wanted in enumerate(play.audience.roles) if wanted in {role, ANY})
    return next(fits, None)
