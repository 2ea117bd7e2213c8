"""How do messages travel? One protocol, two logs: rows of the database (embedded), or Apache Kafka.

`open_bus(url)` is the only place that knows which one it is.
"""
