"""The modules of deploy/servers where no server can be had, or none is needed."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.servers import ServerError, env, missing_for_kafka, missing_for_postgres
from deploy.servers.broker import answers
from deploy.servers.failure import failed
from deploy.servers.guard import ROOT
from deploy.servers.jars import POM, complete, jar_cache, jars
from deploy.servers.ports import HOST, free_port, is_free
from deploy.servers.process import find, freeze, launch, run, send, thread_states, wait_gone, wait_until


def test_a_port_is_never_given_twice() -> None:
    ports = [free_port() for _ in range(50)]

    assert len(set(ports)) == len(ports)
    assert all(is_free(port) for port in ports)


def test_no_two_processes_are_given_the_same_port_though_nobody_listens_there_yet() -> None:
    line = "from deploy.servers.ports import free_port; print([free_port() for _ in range(80)], flush=True); input()"
    several = [
        subprocess.Popen([sys.executable, "-c", line], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603  ourselves
        for _ in range(3)
    ]
    given = [json.loads(one.stdout.readline()) for one in several if one.stdout]
    for one in several:
        one.communicate(b"\n", timeout=60)

    assert sorted({port for ports in given for port in ports}) == sorted(port for ports in given for port in ports)


def test_a_port_somebody_listens_on_is_not_free_and_no_kafka() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]

        assert not is_free(port)
        assert not answers(port)


def test_the_env_file_is_what_a_shell_reads_and_closed_to_others(tmp_path: Path) -> None:
    file = env.write(tmp_path, {"WAYMARK_BUS_URL": "kafka://127.0.0.1:1 $HOME"})

    assert run(["sh", "-c", f". {file}; echo $WAYMARK_BUS_URL"], cwd=tmp_path)[1] == "kafka://127.0.0.1:1 $HOME\n"
    assert file.stat().st_mode & 0o077 == 0
    assert not env.write(tmp_path, {}).exists()


def test_without_java_it_says_how_to_get_one() -> None:
    assert "apt-get install openjdk-17-jre-headless maven" in str(missing_for_kafka({"PATH": ""}))


def test_without_maven_only_jars_that_are_complete_will_do(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path), "WAYMARK_CACHE": str(tmp_path / "cache")}
    program(tmp_path / "java", "true")
    cache = jar_cache(environ)
    cache.mkdir(parents=True)
    (cache / "kafka_2.13.jar").touch()
    half = missing_for_kafka(environ)
    (cache / POM.name).write_bytes(POM.read_bytes())

    assert "apt-get install maven" in str(half)
    assert missing_for_kafka(environ) is None


def test_a_download_that_breaks_off_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "WAYMARK_CACHE": str(tmp_path / "cache")}
    program(tmp_path / "mvn", "echo 'Could not transfer artifact'; exit 1")

    with pytest.raises(ServerError, match="Maven cannot reach its repository"):
        jars(environ)

    assert not complete(jar_cache(environ))
    assert not jar_cache(environ).exists()


def test_without_postgres_it_says_how_to_get_one() -> None:
    assert "apt-get install postgresql" in str(missing_for_postgres(folders=[]))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_with_nobody_to_become_is_told_so() -> None:
    assert "refuses to run as root" in str(missing_for_postgres(users=["nobody-of-this-name"]))


def test_a_failure_shows_what_the_server_said_and_what_helps(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("ERROR no\njava.net.BindException: Address already in use\n" + "INFO shut down\n" * 30, "utf8")

    said = str(failed("Kafka ended before it answered", log))

    assert "ERROR no" in said
    assert "INFO shut down" in said
    assert "another program has the port" in said.splitlines()[-1]


def test_a_process_that_only_inherited_a_pid_is_not_taken_for_ours(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    file.write_text(f"{os.getpid()}\n", "ascii")

    assert find(file, "/some/server.properties") is None
    assert find(file, "python") == os.getpid()


def program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n", "ascii")
    path.chmod(0o755)


def test_a_frozen_process_stands_still_with_every_thread(tmp_path: Path) -> None:
    busy = "import threading\nfor _ in range(20): threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()"
    pid = launch([sys.executable, "-c", busy], pid_file=tmp_path / "pid", log=tmp_path / "log", cwd=tmp_path)
    try:
        assert wait_until(lambda: len(thread_states(pid)) > 20, 60)
        assert freeze(pid, 60)
        assert set(thread_states(pid)) == {"T"}
    finally:
        send(pid, signal.SIGKILL)
    assert wait_gone([pid], 60)
