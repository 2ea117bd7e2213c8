"""Replay of lifecycle: its journal, entry by entry, through the very same handlers, into another database."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from services.lifecycle.accounts import listed_columns
from services.lifecycle.core.compiled_definition import CompiledDefinition, compile_definition
from services.lifecycle.core.definition import Definition
from services.lifecycle.handlers import DEFINITION_FILE, Handlers
from services.lifecycle.layouts import LAYOUTS
from services.lifecycle.tables import JOURNAL, account, decision, stage_visit
from shared.contracts.topics import ADVOCACY, OUTREACH, USAGE
from shared.db.accounts import PartitionOf
from shared.db.protocol import Read, Tx
from shared.definitions import load
from shared.service.journal import Checkpoint, Entry, ReplayClock
from shared.service.processor import MessageBatch
from shared.service.replay import Compared

TOPICS = {topic.name: topic for topic in (USAGE, OUTREACH, ADVOCACY)}


class LifecycleReplay:
    """Applies entries of lifecycle's journal. `partition_of` as in `Handlers`: no decision depends on it."""

    journal = JOURNAL
    topics = TOPICS
    accounts = account
    layouts = LAYOUTS
    compared = (
        Compared(account, "id", without=frozenset({"partition", "journaled"}), state="state"),
        Compared(decision, "account_id", seq="seq"),
        Compared(stage_visit, "account_id", seq="seq"),
    )

    shared = ()

    def __init__(self, partition_of: PartitionOf) -> None:
        self._partition_of = partition_of
        self._clock = ReplayClock()
        self._handlers: dict[str, Handlers] = {}

    def knows(self, version: str) -> bool:
        """Whether this version of the definition was given."""
        return version in self._handlers

    def define(self, version: str, files: Mapping[str, bytes]) -> None:
        """The files of a version. Raises DefinitionError where today's code cannot read them."""
        self._handlers[version] = Handlers(compiled_of(files), self._partition_of, self._clock)

    async def begin(self, tx: Tx, checkpoints: Sequence[Checkpoint]) -> dict[str, int]:
        """Put accounts where the journal begins to know them. For each the number of its latest decision of before."""
        states = [LAYOUTS.decode(one.state) for one in checkpoints]
        rows = [
            {
                **listed_columns(state),
                "id": state.id,
                "partition": self._partition_of(state.id),
                "state": LAYOUTS.encode(state),
                "journaled": False,
            }
            for state in states
        ]
        await tx.insert(account, rows)
        return {state.id: state.seq for state in states}

    async def apply(
        self,
        tx: Tx,
        live: Read,  # noqa: ARG002  all that lifecycle takes is in the archive
        entry: Entry,
        messages: Sequence[Any],
        accounts: Collection[str],
    ) -> None:
        """Do what the entry's transaction did: with these of its messages, or for these of its accounts."""
        handlers, taken = self._handlers[entry.definition], entry.input
        self._clock.time = taken.now
        if taken.kind == "time":
            await self._pass_time(tx, handlers, entry, accounts)
        elif taken.kind == "command":
            names = taken.details.arguments
            kept = zip(names[::2], names[1::2], strict=True)
            await handlers.take_early_of(tx, [one for one in kept if one[0] in accounts])
        else:
            strangers, topic = frozenset(taken.details.unknown), TOPICS[taken.topic or ""]
            await handlers.keep_for_later(tx, [one for one in messages if one.account in strangers])
            begun = [one for one in messages if one.account not in strangers]
            batch = MessageBatch(topic, taken.partition or 0, taken.first or 0, begun)
            if begun:
                await (handlers.usage if topic is USAGE else handlers.feedback)(tx, batch)

    async def _pass_time(self, tx: Tx, handlers: Handlers, entry: Entry, accounts: Collection[str]) -> None:
        until, stopped = entry.input.until, entry.input.details.stopped
        assert until is not None  # noqa: S101  time passes until some moment
        if entry.input.details.to_event:
            for one in accounts:
                await handlers.advance_to_event(tx, one, stopped.get(one, until))
            return
        await handlers.advance_time(tx, [one for one in accounts if one not in stopped], until)
        for one in accounts:
            if one in stopped:
                await handlers.advance_time(tx, [one], stopped[one])


def compiled_of(files: Mapping[str, bytes]) -> CompiledDefinition:
    """The definition of these files, under the version that they have."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / DEFINITION_FILE
        file.write_bytes(files[DEFINITION_FILE])
        return compile_definition(load(file, Definition))
