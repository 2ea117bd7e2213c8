"""What if a row cannot be trusted? It is shown as failed, never as a figure."""


class Wrong(Exception):  # noqa: N818  it names what the figure would be
    """The end state is not what it must be, or a process ended by itself."""


class Absent(Exception):  # noqa: N818  nothing failed
    """No such row in this plan: it says so and why, and counts as no failure."""
