"""Layouts that an account's stored state has had, and the codec of the current one."""

from typing import Any

from services.lifecycle.core.state import Account
from shared.db.layouts import Layouts

_DEFINITION_VERSION = Account.__struct_fields__.index("definition_version")


def _recognise_anew(plain: list[Any]) -> list[Any]:
    """Layout 1 to 2: stores are numbered in another order, so the known ones are found anew with the next event."""
    plain[_DEFINITION_VERSION:] = ["", 0]
    return plain


def _as_it_is(plain: list[Any]) -> list[Any]:
    """Layout 2 to 3: ties between events of one instant, who was removed, and feedback that waits are remembered from now on."""
    return plain


LAYOUTS = Layouts(Account, 3, {1: _recognise_anew, 2: _as_it_is}, compress_from=1_501)
"""Compressed from where PostgreSQL would begin to do it by itself."""
