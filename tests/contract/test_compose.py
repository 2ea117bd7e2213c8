"""docker-compose.yml is as the documentation promises. (No container engine is needed to read it.)"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.servers.process import run
from shared.keys import load_keys
from shared.settings import Settings
from shared.shutdown import BUDGET

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text("utf8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
RUNNING = {name: service for name, service in OURS.items() if service["command"][:2] == ["waymark", "run"]}
ONE_SHOT = {"migrate"}
SETTINGS = {f"WAYMARK_{name}".upper() for name in Settings.model_fields}
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf8")


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONE_SHOT))
def test_every_lasting_service_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", sorted(RUNNING))
def test_a_service_has_the_time_to_stop_that_it_may_take(name: str) -> None:
    assert float(RUNNING[name]["stop_grace_period"].removesuffix("s")) > BUDGET


@pytest.mark.parametrize("name", sorted(RUNNING))
def test_the_health_check_asks_the_service_itself(name: str) -> None:
    assert f"http://127.0.0.1:8000/{name}/livez" in SERVICES[name]["healthcheck"]["test"][-1]


def test_ports_are_published_on_loopback_only_and_only_by_our_services() -> None:
    published = {name: port for name, service in SERVICES.items() for port in service.get("ports", [])}

    assert published == {
        "ingest": "127.0.0.1:8000:8000",
        "lifecycle": "127.0.0.1:8001:8000",
        "notify": "127.0.0.1:8002:8000",
        "advocacy": "127.0.0.1:8003:8000",
        "console": "127.0.0.1:8004:8000",
    }


@pytest.mark.parametrize("image", sorted({service["image"] for service in SERVICES.values()}))
def test_every_image_is_pinned_by_a_tag(image: str) -> None:
    tag = image.rpartition("/")[2].partition(":")[2]

    assert tag
    assert tag != "latest"


def test_every_service_folder_is_run_and_nothing_else() -> None:
    folders = {path.parent.name for path in (ROOT / "services").glob("*/__init__.py")}

    assert {service["command"][2] for service in RUNNING.values()} == folders
    assert folders == RUNNING.keys()


@pytest.mark.parametrize("name", sorted(OURS))
def test_only_settings_that_exist_are_set(name: str) -> None:
    assert OURS[name]["environment"].keys() <= SETTINGS


def test_the_image_sets_only_settings_that_exist() -> None:
    assert set(re.findall(r"WAYMARK_\w+", DOCKERFILE)) <= SETTINGS


@pytest.mark.parametrize("name", sorted(RUNNING))
def test_a_service_waits_for_the_tables_the_log_and_the_database(name: str) -> None:
    waits = RUNNING[name]["depends_on"]

    assert waits["migrate"]["condition"] == "service_completed_successfully"
    assert waits["kafka"]["condition"] == waits["postgres"]["condition"] == "service_healthy"


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_cannot_write_their_files_or_gain_rights(name: str) -> None:
    service = OURS[name]

    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_data_live_in_named_volumes() -> None:
    used = {volume.partition(":")[0] for name in ("kafka", "postgres") for volume in SERVICES[name]["volumes"]}

    assert used == COMPOSE["volumes"].keys()


def test_secrets_come_from_the_env_file_and_compose_refuses_to_start_without_it() -> None:
    variables = dict(re.findall(r"\$\{(\w+)(:[?-][^}]*)?\}", TEXT))

    assert variables["POSTGRES_PASSWORD"] == variables["WAYMARK_SECRET"] == ":?run make env first"
    assert all(variables.values()), "a variable without a default or a refusal is silently empty"


def test_the_env_file_has_all_that_compose_asks_for_and_is_drawn_once(tmp_path: Path) -> None:
    made, kept = tmp_path / "made", tmp_path / "other"
    for file in (made, made, kept):
        assert run(["sh", "deploy/make-env.sh", str(file)], cwd=ROOT)[0] == 0
    values = dict(line.split("=", 1) for line in made.read_text("ascii").splitlines())

    assert values.keys() == set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert made.stat().st_mode & 0o077 == 0
    assert not set(values.values()) & {line.split("=", 1)[1] for line in kept.read_text("ascii").splitlines()}


def test_the_drawn_keys_are_keys_the_services_accept(tmp_path: Path) -> None:
    run(["sh", "deploy/make-env.sh", str(tmp_path / "env")], cwd=ROOT)
    values = dict(line.split("=", 1) for line in (tmp_path / "env").read_text("ascii").splitlines())
    given = values["WAYMARK_KEYS"]

    keys, _secret = load_keys(Settings.model_validate({"keys": given, "secret": values["WAYMARK_SECRET"]}))

    assert keys.find(given.rpartition(":")[2], ["admin"]) is not None


def test_the_image_is_installed_by_hash_runs_without_root_and_starts_no_shell() -> None:
    starts = re.findall(r"^(?:CMD|ENTRYPOINT|RUN) (.)", DOCKERFILE, re.MULTILINE)

    assert "--require-hashes" in DOCKERFILE
    assert re.search(r"^USER [1-9]\d*", DOCKERFILE, re.MULTILINE)
    assert set(starts) == {"["}


def test_build_tools_are_locked_but_neither_run_nor_in_the_image() -> None:
    locks = {kind: (ROOT / f"requirements{kind}.lock").read_text("utf8") for kind in ("", "-dev", "-build")}

    assert "hatchling==" in locks["-build"]
    for tool in ("hatchling==", "editables==", "trove-classifiers=="):
        assert tool not in locks[""] + locks["-dev"]
    for text in locks.values():
        assert not re.search(r"https?://|--(?:extra-)?index-url|--find-links", text)
        pinned = re.findall(r"^[a-z].*$\n.*$", text, re.MULTILINE)
        assert len(pinned) > 5
        assert all("==" in lines and "--hash=sha256:" in lines for lines in pinned)
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "/opt/build" not in last
    assert "/opt/wheels" not in last
