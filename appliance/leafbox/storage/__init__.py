"""The durable store: write-ahead log, memtable, LMDB checkpoints, recovery. The only disk access."""
