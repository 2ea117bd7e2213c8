"""Faust: an agent over a `Table` in RocksDB with a changelog topic. What is lost in a crash is repeated."""

from peer import job, state
from running import main

if __name__ == "__main__":
    of = job()
    main(of, lambda app: app.Table("accounts", default=state, partitions=of.partitions), "rocksdb://")
