"""Quix Streams with its state in RocksDB and a changelog topic, as it comes: what is lost in a crash is repeated."""

from peer import job
from stateful import main

if __name__ == "__main__":
    main(job(), changelog=True)
