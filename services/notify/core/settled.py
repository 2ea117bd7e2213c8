"""What became of a delivery in the world? Keeps the budget true to what was really sent, and asks once more before."""

from datetime import datetime

from msgspec.structs import replace

from services.notify.core.caps import contact
from services.notify.core.consent import TRANSACTIONAL
from services.notify.core.planned import Planned
from services.notify.core.playbook import Playbook
from services.notify.core.policy import ONCE_MORE, Case, Question, Verdict, judge
from services.notify.core.reach import REACH
from services.notify.core.state import Account


def once_more(
    account: Account, planned: Planned, now: datetime, book: Playbook, questions: tuple[Question, ...] = ONCE_MORE
) -> Verdict:
    """Whether it may still go out: just before sending, long after planning perhaps."""
    play = book.plays.get(planned.play)
    step = play.step(planned.step) if play else None
    if planned.history or play is None or step is None:
        return Verdict("skip", "history" if planned.history else "play_changed")
    case = Case(account, book, play, step, planned.user, planned.id, now, planned.expires_at)
    return judge(case, questions) if REACH[planned.channel].customer else Verdict("send")


def sent(account: Account, planned: Planned, at: datetime) -> Account:
    """The account when it goes out, or may have gone out, at this moment: the budget counts from here.

    Also where the contact was planned so long ago that the budget has forgotten it since.
    """
    if planned.outreach_class == TRANSACTIONAL or not REACH[planned.channel].customer:
        return account
    others = [past for past in account.spent if past.delivery != planned.id]
    return replace(account, spent=[*others, contact(planned, at)])


def dropped(account: Account, delivery: str) -> Account:
    """The account when it never went out after all: it costs nothing."""
    return replace(account, spent=[past for past in account.spent if past.delivery != delivery])


def closed(account: Account, delivery: str) -> Account:
    """The account after somebody closed this task: the play may open another."""
    return replace(account, tasks={play: task for play, task in account.tasks.items() if task.delivery != delivery})
