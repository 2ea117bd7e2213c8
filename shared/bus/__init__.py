"""The bus: one log protocol with two implementations, rows of the database (embedded) and Apache Kafka.

Only `shared/storage.py` knows which one a process uses.
"""
