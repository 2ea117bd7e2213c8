"""What if a row cannot be trusted? It is shown as failed, never as a figure."""


class Wrong(Exception):  # noqa: N818  it names what the figure would be
    """The end state is not what it must be, or a process ended by itself."""
