"""Database access: SQLite and PostgreSQL behind one protocol (`shared/db/protocol.py`)."""
