"""Errors planted for the test of `raised`: one of each way in which our source states one."""

from starlette.responses import Response

from shared.failures import Parked, Refused, Retry
from shared.http.problem import problem

_CODE = "planted_dead_letter"


def refuses(name: str) -> None:
    raise Refused(f"no {name} here", "planted_refusal", 418)


def parks() -> None:
    raise Parked("of no use", _CODE)


def answers() -> Response:
    return problem(404, "planted_problem", "nothing here")


def waits() -> None:
    raise Retry("not now")
