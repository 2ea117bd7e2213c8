"""Order: what an account takes next, of two topics that tell of it.

Each topic keeps its own order for an account, and nothing orders one against the other: how they are read differs from run to
run. A request of advocacy names the message of lifecycle that it stands behind (`behind`), and is taken after that one. An
account that replays a history takes no message of lifecycle before advocacy has said (`HistoryFollowed`) that it has followed
up to that one: all requests that come before it are there then. So it takes message n, the requests behind n as they came,
then n + 1, whichever topic is faster. What comes too early waits in line.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from msgspec.structs import replace

from services.notify.core.delivery import Decision
from services.notify.core.engine import apply
from services.notify.core.playbook import Playbook, Result
from services.notify.core.state import Account
from shared.contracts.advocacy import HistoryFollowed, OutreachRequested
from shared.contracts.lifecycle import ClockAdvanced, LifecycleMessage

Ordered: TypeAlias = LifecycleMessage | OutreachRequested | HistoryFollowed


class Line(NamedTuple):
    """What waits of an account, as far as it was loaded: messages of lifecycle by `seq`, requests as they came."""

    messages: tuple[LifecycleMessage, ...] = ()
    requests: tuple[OutreachRequested, ...] = ()


EMPTY = Line()
AsWritten: TypeAlias = Callable[[Account, list[Decision]], Result]
"""What becomes of decisions before anything else is taken: one that cannot be written costs nothing, and the next ones see that."""
Taken = tuple[Account, Line, list[Decision]]
"""The account, what waits, and what was decided."""


def _as_decided(account: Account, decisions: list[Decision]) -> Result:
    return account, decisions


class Turns(NamedTuple):
    """How accounts take what tells of them. Unless `paced`, no history waits for advocacy."""

    book: Playbook
    as_written: AsWritten = _as_decided
    paced: bool = True

    def take(self, account: Account, line: Line, message: Ordered) -> Taken:
        """What follows when a message comes in: of it, and of what waited for it, in their order.

        The line has at least what waits up to `loaded_until`.
        """
        match message:
            case HistoryFollowed():
                account = replace(account, advocacy_seq=max(account.advocacy_seq, message.seq))
                return self._taken_in_turn(account, line)
            case OutreachRequested():
                return self._take_request(account, line, message)
            case _:
                return self._take_message(account, line, message)

    def take_all(self, account: Account, line: Line) -> Taken:
        """What follows, not `paced`, when nothing is waited for: the whole line, in its order; at last requests whose message never came."""
        account, line, decisions = self._taken_in_turn(account, line)
        for request in line.requests:
            account, decided = self._apply(_without(account, request), request)
            decisions += decided
        return account, EMPTY, decisions

    def _take_request(self, account: Account, line: Line, request: OutreachRequested) -> Taken:
        if request.behind <= account.seq:
            account, decisions = self._apply(account, request)
            return account, line, decisions
        if request.id in account.request_ids or request.id in account.waiting_requests:
            return account, line, []
        account = replace(account, waiting_requests=[*account.waiting_requests, request.id])
        return account, line._replace(requests=(*line.requests, request)), []

    def _take_message(self, account: Account, line: Line, message: LifecycleMessage) -> Taken:
        if not is_new(account, message):
            return account, line, []
        if not account.heard_seq and self._is_its_turn(account, message):
            account, decisions = self._apply(account, message)
            account, line, more = self._taken_in_turn(account, line)
            return account, line, [*decisions, *more]
        waiting = line._replace(messages=(*line.messages, message))
        return replace(account, heard_seq=message.seq), waiting, []

    def _taken_in_turn(self, account: Account, line: Line) -> Taken:
        decisions: list[Decision] = []
        while (following := self._next(account, line)) is not None:
            if isinstance(following, OutreachRequested):
                account = _without(account, following)
                line = line._replace(requests=tuple(one for one in line.requests if one.id != following.id))
            else:
                line = line._replace(messages=line.messages[1:])
                account = account if following.seq < account.heard_seq else replace(account, heard_seq=0)
            account, decided = self._apply(account, following)
            decisions += decided
        return account, line, decisions

    def _next(self, account: Account, line: Line) -> LifecycleMessage | OutreachRequested | None:
        """What of the line may be taken now; a request before the next message."""
        for request in line.requests:
            if request.behind <= account.seq:
                return request
        first = line.messages[0] if line.messages else None
        return first if first is not None and self._is_its_turn(account, first) else None

    def _is_its_turn(self, account: Account, message: LifecycleMessage) -> bool:
        """Whether all requests that come before a message of lifecycle are there, or it waits for none: live nobody waits.

        An account that an earlier version let replay has advocacy's word only of what advocacy is sure to give it for.
        """
        told = message.history or isinstance(message, ClockAdvanced) or account.advocacy_seq > 0
        history = message.history or account.replaying
        return not (self.paced and history and told) or message.seq <= account.advocacy_seq

    def _apply(self, account: Account, message: LifecycleMessage | OutreachRequested) -> Result:
        return self.as_written(*apply(account, message, self.book))


def is_new(account: Account, message: LifecycleMessage) -> bool:
    """Whether it has not come before."""
    return message.seq > max(account.seq, account.heard_seq)


def loaded_until(account: Account, message: Ordered) -> int:
    """Up to which sequence number what waits of the account must be at hand when this message is taken; 0: none of it."""
    if isinstance(message, OutreachRequested) or not account.waits:
        return 0
    return message.seq if isinstance(message, HistoryFollowed) or not account.heard_seq else 0


def _without(account: Account, request: OutreachRequested) -> Account:
    return replace(account, waiting_requests=[one for one in account.waiting_requests if one != request.id])
