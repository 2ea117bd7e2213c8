"""Faust: an agent over a plain dict, an event at a time. A crash loses the state."""

from peer import job
from running import main

if __name__ == "__main__":
    main(job(), lambda _: {}, "memory://")
