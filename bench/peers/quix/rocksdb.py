"""Quix Streams with its state in RocksDB, no changelog topic: it survives a crash of the process, not of the disk."""

from peer import job
from stateful import main

if __name__ == "__main__":
    main(job(), changelog=False)
