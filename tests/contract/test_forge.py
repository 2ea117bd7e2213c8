"""The forge's file and the Makefile: what is promised there exists, and the diagram is drawn."""

import re
from typing import Any

import yaml

from deploy.servers.process import run
from tests.conftest import ROOT

MAKEFILE = (ROOT / "Makefile").read_text("utf8")
RULES = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
FORGE = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf8")
JOBS: dict[str, Any] = yaml.safe_load(FORGE)["jobs"]


def test_every_phony_target_has_a_rule_and_every_rule_is_phony() -> None:
    [phony] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)

    assert set(phony.split()) == RULES


def test_every_rule_but_help_says_what_it_does() -> None:
    assert set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)) == RULES


def test_the_forge_runs_our_own_commands_on_every_python() -> None:
    ran = [step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step]

    assert {line.removeprefix("make ") for line in ran} == {"check", "test", "coverage", "audit"} <= RULES
    assert JOBS["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]


def test_the_diagram_is_that_of_the_stages() -> None:
    status, said = run(["make", "-s", "diagram"], cwd=ROOT)

    assert status == 0, said
    assert said.startswith("stateDiagram-v2\n    [*] --> onboarding\n")
    assert "    onboarding --> adoption: " in said
