"""Replay of advocacy: its journal, entry by entry, through the very same handlers, into another database."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from services.advocacy.core.definitions import Definitions
from services.advocacy.core.invitations import Addresses
from services.advocacy.core.referral import Code
from services.advocacy.core.survey_kinds import Submission
from services.advocacy.handlers import Handlers, move_reward, release
from services.advocacy.loading import REFERRALS, load_definitions
from services.advocacy.store import invitations, referrals
from services.advocacy.store.accounts import ACCOUNTS
from services.advocacy.tables import JOURNAL, account, answer, code, invitation, ledger_entry, note, referral, reward
from shared.contracts.topics import LIFECYCLE, OUTREACH
from shared.db.accounts import PartitionOf
from shared.db.protocol import Read, Tx
from shared.links import Links
from shared.service.journal import Checkpoint, Entry, ReplayClock
from shared.service.processor import MessageBatch
from shared.service.replay import Compared

TOPICS = {topic.name: topic for topic in (LIFECYCLE, OUTREACH)}


class AdvocacyReplay:
    """Applies entries of advocacy's journal.

    What several accounts share (codes, the rewards of a month) is exact where all of them are replayed from their beginning.
    """

    journal = JOURNAL
    topics = TOPICS
    accounts = account
    layouts = ACCOUNTS
    compared = (
        # when an account is woken next is no part of it: an hourly look sets a day for those that sleep
        Compared(account, "id", without=frozenset({"partition", "journaled", "next_due"}), state="state"),
        Compared(invitation, "account_id", whole=True),
        Compared(answer, "account_id", whole=True),
        Compared(note, "account_id", whole=True),
    )

    shared = (code, referral, reward, ledger_entry)

    def __init__(self, partition_of: PartitionOf) -> None:
        self._partition_of = partition_of
        self._clock = ReplayClock()
        self._handlers: dict[str, Handlers] = {}
        self._definitions: dict[str, Definitions] = {}
        self._addresses = Addresses("", Links(bytes(32)))

    def knows(self, version: str) -> bool:
        """Whether this version of the definitions was given."""
        return version in self._handlers

    def define(self, version: str, files: Mapping[str, bytes]) -> None:
        """The files of a version. Raises DefinitionError where today's code cannot read them."""
        defined = self._definitions[version] = definitions_of(files)
        self._handlers[version] = Handlers(defined, self._partition_of, self._addresses, self._clock)

    async def begin(self, tx: Tx, checkpoints: Sequence[Checkpoint]) -> dict[str, int]:
        """Put accounts where the journal begins to know them."""
        states = [ACCOUNTS.decode(one.state) for one in checkpoints]
        rows = [
            {
                "id": state.id,
                "partition": self._partition_of(state.id),
                "clock": state.clock,
                "next_due": None,
                "replaying": state.replaying,
                "state": ACCOUNTS.encode(state),
                "journaled": False,
            }
            for state in states
        ]
        await tx.insert(account, rows)
        return {state.id: 0 for state in states}

    async def apply(self, tx: Tx, live: Read, entry: Entry, messages: Sequence[Any], accounts: Collection[str]) -> None:
        """Do what the entry's transaction did: with these of its messages, or for these of its accounts."""
        handlers, taken = self._handlers[entry.definition], entry.input
        self._clock.time = taken.now
        if taken.kind == "time":
            assert taken.until is not None  # noqa: S101  time passes until some moment
            await handlers.advance_time(tx, list(accounts), taken.until)
        elif taken.kind == "command":
            await self._command(tx, live, entry, handlers)
        else:
            batch = MessageBatch(TOPICS[taken.topic or ""], taken.partition or 0, taken.first or 0, messages)
            await handlers.messages(tx, batch)

    async def _command(self, tx: Tx, live: Read, entry: Entry, handlers: Handlers) -> None:
        details, now = entry.input.details, entry.input.now
        rules = self._definitions[entry.definition].referrals.rewards
        [first, *more] = details.arguments
        match details.command:
            case "answer" | "accept" | "decline":
                await _answer(tx, live, entry, handlers)
            case "opt_out":
                await handlers.opt_out(tx, details.accounts[0], first)
            case "show_name":
                await handlers.show_name(tx, details.accounts[0], first, shown=bool(more))
            case "click":
                await handlers.click(tx, await _code(tx, first))
            case "mail_page":
                await handlers.mail_page(tx, await _code(tx, first))
            case "release":
                due = [await referrals.load_reward_for_update(tx, name) for name in details.arguments]
                await release(tx, [one for one in due if one is not None], rules, handlers.journal, now)
            case "move_reward":
                await move_reward(tx, first, more[0], handlers.journal, now)  # type: ignore[arg-type]
            case unknown:
                raise LookupError(f"entry {entry.n} is a command that this version does not know: {unknown}")


async def _answer(tx: Tx, live: Read, entry: Entry, handlers: Handlers) -> None:
    """An answer to a survey, or to an ask. An invitation of before the journal stands in the live database alone."""
    details = entry.input.details
    [name, *more] = details.arguments
    asked = await invitations.load(tx, name) or await invitations.load(live, name)
    if asked is None:
        raise LookupError(f"entry {entry.n} is about the invitation {name}, which is not there any more")
    if details.command == "accept":
        await handlers.accept(tx, asked)
    elif details.command == "decline":
        await handlers.decline(tx, asked)
    else:
        await handlers.answer(tx, asked, await _submission(live, name, entry.n, *more))


async def _code(tx: Tx, text: str) -> Code:
    held = (await referrals.load_codes_for_update(tx, [text]))[text]
    if held is None:
        raise LookupError(
            f"the code {text} is not there: it is older than the journal, or its account was not replayed"
        )
    return held


async def _submission(live: Read, invitation_id: str, n: int, score: str, revision: str) -> Submission:
    """What was written stands in the answer alone. Of an earlier version of it only that it was another text is known."""
    stands = await invitations.load_answer(live, invitation_id)
    is_latest = stands is not None and stands.revision == int(revision)
    return Submission(int(score), stands.comment if stands is not None and is_latest else f"({n})")


def definitions_of(files: Mapping[str, bytes]) -> Definitions:
    """The definitions of these files."""
    with tempfile.TemporaryDirectory() as folder:
        surveys = Path(folder) / "surveys"
        surveys.mkdir()
        for name, text in files.items():
            place = Path(folder) / f"{name}.yaml" if name == REFERRALS else surveys / f"{name}.yaml"
            place.write_bytes(text)
        return load_definitions(surveys, Path(folder) / f"{REFERRALS}.yaml")
