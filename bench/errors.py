"""Errors of a row: it is shown as failed or as not in the plan, never as a figure."""


class InvalidResult(Exception):  # noqa: N818  it names what the figure would be
    """The end state is not what it must be, or a process ended by itself."""


class NotInPlan(Exception):  # noqa: N818  nothing failed
    """No such row in this plan: it says so and why, and counts as no failure."""
