"""The image and the compose file, as far as their text tells; neither is built or started here."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from tests.unit.deploy.settings_names import SETTINGS, variables

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text()
IGNORED = (ROOT / "deploy/docker/Dockerfile.dockerignore").read_text().splitlines()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())


def test_the_image_runs_as_the_user_that_the_chart_expects_and_holds_no_build_tools() -> None:
    last_stage = DOCKERFILE.split("\nFROM ")[-1]
    assert "USER 10001:10001" in last_stage
    assert "pip install" not in last_stage
    assert "apt-get" not in last_stage
    assert 'ENTRYPOINT ["lumen"]' in last_stage


def test_packages_come_from_the_lock_without_the_development_groups() -> None:
    syncs = re.findall(r"uv sync (.*)", DOCKERFILE)
    assert len(syncs) == 2
    assert all("--frozen" in flags and "--no-default-groups" in flags for flags in syncs)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["tool"]["uv"]["default-groups"]) == {"local", "dev"}
    wanted = re.search(r"ARG UV_VERSION=(\S+)", DOCKERFILE)
    assert wanted is not None
    assert f"UV_VERSION := {wanted[1]}\n" in (ROOT / "Makefile").read_text()


def test_everything_that_is_copied_exists_and_is_let_through_by_the_ignore_file() -> None:
    build_stage = DOCKERFILE.split("\nFROM ")[1]
    sources = [source for line in re.findall(r"^COPY (.*)", build_stage, re.MULTILINE) for source in line.split()[:-1]]
    assert "deploy/clickhouse" in sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in IGNORED, source


def test_the_wheels_packages_are_all_in_the_image_but_the_local_stack() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert re.search(rf"^COPY {package}[ /]", DOCKERFILE, re.MULTILINE), package
    assert "deploy/local" not in DOCKERFILE


def test_compose_gives_every_service_what_it_needs_and_nothing_it_does_not_read() -> None:
    for service in SETTINGS:
        known = variables(service)
        given = COMPOSE["services"][service]["environment"]
        assert set(given) <= set(known), service
        SETTINGS[service].model_validate({known[name]: value for name, value in given.items()})


def test_compose_publishes_to_this_machine_only_and_writes_no_secret_out() -> None:
    for name, service in COMPOSE["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        for variable, value in (service.get("environment") or {}).items():
            if variable.endswith(("TOKEN", "PASSWORD", "KEY")):
                assert value.startswith("${"), variable


def test_composes_edge_is_given_longer_than_its_drain() -> None:
    edge = COMPOSE["services"]["edge"]
    drain_s = int(edge["environment"]["LUMEN_EDGE_SHUTDOWN_DRAIN_S_MAX"])
    assert int(edge["stop_grace_period"].removesuffix("s")) >= drain_s + 30 + 10
