"""What is known to be broken and being mended elsewhere? Mended here from outside, so that the seeds see past it.

An entry goes when the product has its mend: `--unmended` runs without any.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from services.notify.core import settled
from services.notify.handlers import sending
from shared.service import claims
from tests.chaos.planting import replaced


def _f2(stack: ExitStack) -> None:
    """A contact counts from the moment it may happen, not from the one it was planned for."""
    judge = sending.Sending._judge  # noqa: SLF001  see above

    async def judged(self: Any, tx: Any, row: Any, known: Any, now: Any) -> Any:
        claimed = await judge(self, tx, row, known, now)
        if claimed is not None:
            known[row.account] = settled.sent(known[row.account], row.id, now)
        return claimed

    stack.enter_context(replaced(sending.Sending, "_judge", judged))
    stack.enter_context(replaced(sending, "_COST", sending._COST | {"unknown": settled.sent}))  # noqa: SLF001


def _f3(stack: ExitStack) -> None:
    """The end was measured before the claim: somebody may have passed it since."""
    unbroken = claims.unbroken
    stack.enter_context(
        replaced(claims, "unbroken", lambda g, p, c, b: unbroken(g, p, c, b._replace(end=max(b.end, c.next_off))))
    )


KNOWN: list[Callable[[ExitStack], None]] = [_f2, _f3]


@contextmanager
def mended() -> Iterator[None]:
    with ExitStack() as stack:
        for mend in KNOWN:
            mend(stack)
        yield
