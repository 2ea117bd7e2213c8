"""Rounds: the rows take turns, so that noise meets all of them."""

import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from bench.errors import InvalidResult, NotInPlan

Figures = dict[str, float]


class Result(msgspec.Struct):
    """One row's rounds; why it failed, or why there is none (empty: neither). `notes` are what it told once."""

    name: str
    group: str
    survives: str
    rounds: list[Figures] = []
    failed: str = ""
    absent: str = ""
    notes: str = ""


class Turn(msgspec.Struct, frozen=True):
    """A row as it takes its turns: what is done once before, and what each round."""

    result: Result
    before: Callable[[], Awaitable[str]]
    each: Callable[[int], Awaitable[Figures]]


async def interleaved(turns: Sequence[Turn], rounds: int, say: Callable[[str], None]) -> None:
    """Every row is prepared, then each round goes through all of them."""
    for turn in turns:
        await _attempt(turn, _prepare(turn), say)
    for number in range(rounds):
        for turn in turns:
            if not turn.result.failed and not turn.result.absent:
                await _attempt(turn, _round(turn, number, rounds, say), say)


async def _prepare(turn: Turn) -> None:
    turn.result.notes = await turn.before()


async def _round(turn: Turn, number: int, rounds: int, say: Callable[[str], None]) -> None:
    figures = await turn.each(number)
    turn.result.rounds.append(figures)
    told = "  ".join(
        f"{what} {figure:,.0f}" if figure >= 100 else f"{what} {figure:,.1f}" for what, figure in figures.items()
    )
    say(f"[{number + 1}/{rounds}] {turn.result.name}: {told}")


async def _attempt(turn: Turn, work: Awaitable[None], say: Callable[[str], None]) -> None:
    """A row that fails says so, and gives no figure: not even those of the rounds before."""
    try:
        await work
    except NotInPlan as why:
        turn.result.absent = str(why)
    except Exception as error:  # noqa: BLE001  whatever it is, the other rows are still worth having
        turn.result.failed = str(error) if isinstance(error, InvalidResult) else _placed(error)
        say(f"{turn.result.name} failed: {turn.result.failed}")


def _placed(error: Exception) -> str:
    """What nobody expected, with the line of ours it came from: without that a stranger cannot even report it."""
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    where = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno} in {ours[-1].name}" if ours else ""
    return f"{error!r}{where}"


def say(text: str) -> None:
    """Progress, on standard error."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()
