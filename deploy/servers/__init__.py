"""Servers: a real Kafka and a real PostgreSQL on a machine without containers."""

from deploy.servers.failure import ServerError
from deploy.servers.jars import missing_for_kafka
from deploy.servers.kafka import Kafka, start_kafka
from deploy.servers.postgres import Postgres, start_postgres
from deploy.servers.programs import missing_for_postgres

__all__ = [
    "Kafka",
    "Postgres",
    "ServerError",
    "missing_for_kafka",
    "missing_for_postgres",
    "start_kafka",
    "start_postgres",
]
