"""Kafka node: its data folder, how it is made, and the command that runs it."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from deploy.servers import broker
from deploy.servers.failure import ServerError, refuse_full_disk
from deploy.servers.jars import jars, java, missing_for_kafka
from deploy.servers.ports import free_port, is_free
from deploy.servers.process import run

LOGGING = ("-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS")

BRIEF = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""For a process of a few minutes: code is compiled once and quickly, with one thread for the garbage."""


class Node:
    """The folder of one broker: its ports, its settings and its data."""

    def __init__(self, home: Path, environ: Mapping[str, str] = os.environ, *, brief: bool = False) -> None:
        self.home = home
        self.properties = home / "server.properties"
        self._environ = environ
        self._jvm = BRIEF if brief else ()

    @property
    def ports(self) -> tuple[int, int]:
        """The ports for clients and for the controller, chosen once."""
        kept = self.home / "ports"
        if not kept.exists():
            kept.write_text(f"{free_port()} {free_port()}\n", encoding="ascii")
        port, controller = kept.read_text(encoding="ascii").split()
        return int(port), int(controller)

    def prepare(self) -> None:
        if missing := missing_for_kafka(self._environ):
            raise ServerError("Kafka cannot be started", remedy=missing)
        self.home.mkdir(parents=True, exist_ok=True)
        refuse_full_disk("Kafka", self.home)
        self._refuse_taken_ports()
        self.properties.write_text(broker.settings(self.home / "data", *self.ports), encoding="utf-8")
        self._format()

    def command(self, heap: str) -> tuple[str, ...]:
        return *self._java(heap, *self._jvm), "kafka.Kafka", str(self.properties)

    def _refuse_taken_ports(self) -> None:
        for port in self.ports:
            if not is_free(port):
                remedy = f"stop that program, or remove {self.home / 'ports'} to get other ports"
                raise ServerError(f"port {port} of this Kafka is taken by another program", remedy=remedy)

    def _format(self) -> None:
        done = self.home / "formatted"  # written last: a format that broke off is done again
        if done.exists():
            return
        shutil.rmtree(self.home / "data", ignore_errors=True)
        named = ("-t", broker.cluster_id(self.home), "-c", str(self.properties))
        code, said = run(
            (*self._java("128m", *BRIEF), "kafka.tools.StorageTool", "format", "--standalone", *named), cwd=self.home
        )
        if code:
            raise ServerError("Kafka cannot format its data directory", said=said)
        done.touch()

    def _java(self, heap: str, *jvm: str) -> tuple[str, ...]:
        return java(self._environ) or "java", f"-Xmx{heap}", *jvm, *LOGGING, "-cp", f"{jars(self._environ)}/*"
