"""Where does an owner begin? Its cursor decides, measured against a log that others go on reading meanwhile."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from shared.bus.protocol import Bounds, Partition, RebalanceListener
from shared.failures import Halted

_LOOKS = 5


async def claimed(
    listener: RebalanceListener, measure: Callable[[], Awaitable[dict[Partition, Bounds]]]
) -> dict[Partition, int]:
    """Claim what `measure` gives, with where each partition begins and ends.

    A cursor beyond the end may mean that another member read on between our look at the log and our claim: so the log is
    measured again, a few times, before that is taken for a log that was cut. Raises what the owner raises at last.
    """
    for _ in range(_LOOKS - 1):
        with suppress(Halted):
            return await listener.on_assigned(await measure())
    return await listener.on_assigned(await measure())
