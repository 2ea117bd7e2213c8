"""Broker: the settings of our Kafka, and the check that it is ready."""

import base64
import hashlib
import socket
import struct
from pathlib import Path

from deploy.servers.ports import HOST

SETTINGS = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers={host}:{controller}
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes=10485760

# one node: it is all the replicas there are
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# a laptop: the 50 partitions and the 128 MB of a data centre only cost time and memory
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=4
log.cleaner.dedupe.buffer.size=16777216

# tests: a group forms at once, and may lose a member within a second
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000

# the controller takes a killed broker back only when its old session has ended: 9 s by default
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""

METADATA, VERSION, CORRELATION = 3, 4, 1


def settings(data: Path, port: int, controller: int) -> str:
    return SETTINGS.format(host=HOST, port=port, controller=controller, data=data)


def cluster_id(home: Path) -> str:
    """Return a cluster id in Kafka's form (16 bytes in base64); the W keeps it from starting with a dash."""
    return base64.urlsafe_b64encode(b"W" + hashlib.sha256(bytes(home)).digest()[:15]).decode().rstrip("=")


def answers(port: int) -> bool:
    """Ask for the metadata: a broker that is listed in its own answer is registered and serves clients."""
    request = struct.pack(">hhih", METADATA, VERSION, CORRELATION, -1) + struct.pack(">i?", 0, False)
    try:
        with socket.create_connection((HOST, port), timeout=1) as line:
            line.sendall(struct.pack(">i", len(request)) + request)
            head = _exactly(line, 16)
    except OSError:
        return False
    _size, correlation, _throttle, brokers = struct.unpack(">iiii", head)
    return bool(correlation == CORRELATION and brokers > 0)


def _exactly(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = line.recv(size - len(data))
        if not part:
            raise ConnectionError("the broker hung up")
        data += part
    return data
